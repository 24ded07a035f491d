-- What an operator sees of one user, through keys alone, with a login that has SELECT on
-- `songswap.warehouse.rights.READ_BY_PAGE`. User 0 belongs to the test DAGs.

-- name: user
SELECT FROM "Users" WHERE id = %(user)s AND id <> 0

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
