-- The status of the warehouse: all of these are read together.

-- name: users
-- All, and those who can be polled.
SELECT count(*), count(t.id) FROM "Users" u LEFT JOIN "SpotifyTokens" t ON t.id = u.id

-- name: plays
-- And the newest.
SELECT count(*), max(played_at) AT TIME ZONE 'UTC' FROM "History"

-- name: last_run
-- A dead run counts as died before the next run records it.
SELECT run_id,
  CASE WHEN run_id IN (SELECT run_id FROM songswap.dead_runs(%(now)s)) THEN 'died' ELSE state END,
  started_at
FROM songswap.runs ORDER BY started_at DESC LIMIT 1

-- name: losses
-- Open gaps, and items that were rejected.
SELECT (SELECT count(*) FROM songswap.gaps WHERE closed_at IS NULL),
  (SELECT count(*) FROM songswap.rejected_items)

-- name: open_gaps
-- Those found last.
SELECT g.user_id, u.username, g.after, g.before, g.found_at
FROM songswap.gaps g JOIN "Users" u ON u.id = g.user_id
WHERE g.closed_at IS NULL
ORDER BY g.found_at DESC, g.user_id, g.before
LIMIT %(at_most)s

-- name: feeds
-- With a recent response: those that never had a play, and those without one for a day.
SELECT count(*) FILTER (WHERE newest_played_at IS NULL),
  count(*) FILTER (WHERE newest_played_at
    BETWEEN %(now)s - interval '7 days' AND %(now)s - interval '1 day')
FROM songswap.polls WHERE answered_at > %(now)s - interval '2 hours'
