-- What an operator sees, read by a snapshot each hour: no statement reads all plays. User 0, who belongs to
-- the test DAGs, is left out.

-- name: users
-- All, and those with tokens.
SELECT count(*), count(t.id)
FROM "Users" u LEFT JOIN "SpotifyTokens" t ON t.id = u.id
WHERE u.id <> 0

-- name: is_indexed_by_user
-- Whether an index of "History" begins with the user. The web app may have its own order in the key.
SELECT EXISTS (
  SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
  WHERE i.indrelid = '"History"'::regclass AND i.indisvalid AND i.indpred IS NULL
    AND a.attname = 'user_id'
)

-- name: newest_play_by_user
-- User by user through the key of "History".
SELECT max(h.played_at) AT TIME ZONE 'UTC'
FROM "Users" u CROSS JOIN LATERAL (
  SELECT played_at FROM "History" WHERE user_id = u.id ORDER BY played_at DESC LIMIT 1
) h
WHERE u.id <> 0

-- name: newest_play_by_time
-- Where no index begins with the user.
SELECT max(played_at) AT TIME ZONE 'UTC' FROM "History" WHERE user_id <> 0

-- name: answered
-- Of users who can be polled: how many there are, how many never had a response, and the ages of the last
-- responses in minutes.
SELECT count(*), count(*) FILTER (WHERE answered_at IS NULL),
  percentile_disc('{0.5, 0.9, 1}'::float[]) WITHIN GROUP (ORDER BY minutes)
FROM (
  SELECT answered_at, floor(extract(epoch FROM %(now)s - answered_at) / 60)::integer AS minutes
  FROM songswap.users_to_poll(%(now)s) WHERE user_id <> 0
) ages

-- name: ages
-- How many of these users had their last response less than so many minutes ago; NULL: any time.
SELECT b.minutes, count(*)
FROM (
  SELECT floor(extract(epoch FROM %(now)s - answered_at) / 60)::integer AS minutes
  FROM songswap.users_to_poll(%(now)s) WHERE user_id <> 0 AND answered_at IS NOT NULL
) a
CROSS JOIN LATERAL (
  SELECT min(bar) AS minutes FROM unnest(%(bars)s::integer[]) bar WHERE a.minutes < bar
) b
GROUP BY b.minutes

-- name: gaps
-- Open ones, and those that were closed in the last seven days.
SELECT count(*) FILTER (WHERE closed_at IS NULL),
  count(*) FILTER (WHERE closed_at > %(now)s - interval '7 days')
FROM songswap.gaps WHERE user_id <> 0

-- name: newest_gaps
-- Open ones.
SELECT user_id, after, before, found_at FROM songswap.gaps
WHERE closed_at IS NULL AND user_id <> 0
ORDER BY found_at DESC, user_id, before LIMIT %(at_most)s

-- name: requests_in_window
-- By the server's clock, with which they are counted.
SELECT coalesce(sum(requests), 0)::bigint FROM songswap.requests
WHERE span = 'second' AND at > clock_timestamp() - interval '30 seconds'

-- name: runs
-- The last hourly ones. One that did not end well has counts in its steps alone.
SELECT r.run_id, CASE WHEN d.run_id IS NULL THEN r.state ELSE 'died' END AS state, r.started_at, r.ended_at,
  left(r.problem, 1000) AS problem,
  CASE WHEN r.counts = '{}' THEN s.plays ELSE coalesce((r.counts ->> 'plays')::bigint, 0) END AS plays,
  CASE WHEN r.counts = '{}' THEN s.polled ELSE coalesce((r.counts ->> 'polled')::bigint, 0) END AS users
FROM (
  SELECT * FROM songswap.runs WHERE NOT starts_with(run_id, 'follow__')
  ORDER BY started_at DESC LIMIT %(at_most)s
) r
LEFT JOIN songswap.dead_runs(%(now)s) d ON d.run_id = r.run_id
CROSS JOIN LATERAL (
  SELECT coalesce(sum((counts ->> 'plays')::bigint), 0)::bigint AS plays,
    coalesce(sum((counts ->> 'polled')::bigint), 0)::bigint AS polled
  FROM songswap.steps WHERE run_id = r.run_id
) s
ORDER BY r.started_at DESC

-- name: steps
-- Of these runs, each step with how many parts it has.
SELECT run_id, step, count(*) AS parts, count(*) FILTER (WHERE state = 'failed') AS failed,
  count(*) FILTER (WHERE state = 'planned') AS planned,
  (array_agg(left(problem, 1000) ORDER BY number) FILTER (WHERE problem IS NOT NULL))[1] AS problem
FROM songswap.steps WHERE run_id = ANY (%(runs)s)
GROUP BY run_id, step

-- name: polls_between
-- Runs of the last day that polled those who could lose plays before the next hour.
SELECT count(*) AS runs,
  count(*) FILTER (WHERE r.state IN ('failed', 'died') OR d.run_id IS NOT NULL) AS failed,
  max(r.ended_at) AS ended_at
FROM songswap.runs r LEFT JOIN songswap.dead_runs(%(now)s) d ON d.run_id = r.run_id
WHERE starts_with(r.run_id, 'follow__') AND r.started_at > %(now)s - interval '1 day'

-- name: grants
-- By state and by the day of their end.
SELECT state, (ends_at AT TIME ZONE 'UTC')::date, count(*)
FROM songswap.grant_states(%(now)s) WHERE user_id <> 0
GROUP BY 1, 2 ORDER BY 2, 1

-- name: imports
-- The last ones.
SELECT import_id, user_id, started_at, ended_at, counts FROM songswap.imports
WHERE user_id <> 0 ORDER BY ended_at DESC, import_id LIMIT %(at_most)s

-- name: due
-- Users who have to be erased, the first first.
SELECT user_id, reason, since, due_at FROM songswap.disconnects
ORDER BY due_at, user_id LIMIT %(most_due)s

-- name: open_erasures
-- The oldest first, with the places that have not confirmed.
SELECT user_id, requested_at, reason, (
  SELECT coalesce(jsonb_agg(
    jsonb_build_object(
      'place', CASE WHEN place IN ('warehouse', 's3') THEN place ELSE 'spool' END,
      'host', host, 'problem', left(problem, 1000)
    ) ORDER BY place DESC
  ), '[]')
  FROM songswap.erasure_places p WHERE p.erasure_id = e.erasure_id AND confirmed_at IS NULL
) AS waits_for
FROM songswap.erasures e
WHERE e.ended_at IS NULL
ORDER BY e.requested_at, e.erasure_id LIMIT %(at_most)s
