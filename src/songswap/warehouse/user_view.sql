-- What an operator sees of one user, through keys alone, with a login that has SELECT on
-- `songswap.warehouse.rights.READ_BY_PAGE`. User 0 belongs to the test DAGs.

-- name: user
-- An erased user, and one who is gone and has to be erased, are shown too.
SELECT WHERE EXISTS (SELECT FROM "Users" WHERE id = %(user)s)
  OR EXISTS (SELECT FROM songswap.erasures WHERE user_id = %(user)s)
  OR EXISTS (SELECT FROM songswap.disconnects WHERE user_id = %(user)s)

-- name: plays_by_day
-- Each of the last days, today included.
SELECT s.day::date AS day, coalesce(c.plays, 0) AS plays
FROM generate_series(
  date_trunc('day', %(since)s::timestamp), %(until)s::timestamp, interval '1 day'
) s (day)
LEFT JOIN (
  SELECT date_trunc('day', played_at) AS day, count(*) AS plays FROM "History"
  WHERE user_id = %(user)s AND played_at >= date_trunc('day', %(since)s::timestamp)
    AND played_at <= %(until)s::timestamp
  GROUP BY 1
) c ON c.day = s.day
ORDER BY s.day

-- name: poll
SELECT polled_at, answered_at, newest_played_at, problem FROM songswap.polls WHERE user_id = %(user)s

-- name: grant
-- As songswap.grant_states has it, but without reading tokens: a grant is taken to be of those that are
-- there, as it was when a run last looked.
SELECT
  CASE
    WHEN %(now)s >= g.ends_at THEN 'expired'
    WHEN g.state IN ('revoked', 'forbidden', 'lost') THEN g.state
    WHEN g.ends_at - %(now)s <= interval '30 days' THEN 'expiring'
    ELSE 'active'
  END AS state,
  g.authorized_at, g.ends_at, g.ask_again_at, g.problem
FROM "SpotifyTokens" t
LEFT JOIN LATERAL (
  SELECT state, authorized_at, ask_again_at, problem,
    (authorized_at AT TIME ZONE 'UTC' + interval '6 months') AT TIME ZONE 'UTC' AS ends_at
  FROM songswap.grants WHERE user_id = %(user)s
) g ON true
WHERE t.id = %(user)s

-- name: gaps
-- The last ones, closed ones too.
SELECT after, before, found_at, closed_at FROM songswap.gaps
WHERE user_id = %(user)s ORDER BY before DESC LIMIT %(at_most)s

-- name: imports
-- The last ones.
SELECT import_id, started_at, ended_at, counts FROM songswap.imports
WHERE user_id = %(user)s ORDER BY ended_at DESC, import_id LIMIT %(at_most)s

-- name: due
-- By when the user has to be erased.
SELECT reason, since, due_at, (due_at AT TIME ZONE 'UTC')::date AS day
FROM songswap.disconnects WHERE user_id = %(user)s

-- name: erasure
-- The last one, with the places that have not confirmed.
SELECT requested_at, reason, keeps_account, ended_at, renewed_at, (
  SELECT coalesce(jsonb_agg(
    jsonb_build_object(
      'place', CASE WHEN place IN ('warehouse', 's3') THEN place ELSE 'spool' END,
      'host', host, 'problem', left(problem, 1000)
    ) ORDER BY place DESC
  ), '[]')
  FROM songswap.erasure_places p WHERE p.erasure_id = e.erasure_id AND confirmed_at IS NULL
) AS waits_for
FROM songswap.erasures e WHERE user_id = %(user)s ORDER BY erasure_id DESC LIMIT 1
