-- Whether the hourly load goes on, from table songswap.runs alone. A time in the future comes of a
-- wrong clock, and proves nothing.

-- name: good
-- The hourly run that ended well last. A pause that Spotify asked for is no failure.
SELECT state, ended_at, started_at, counts FROM songswap.runs
WHERE state IN ('success', 'paused') AND NOT starts_with(run_id, 'follow__')
  AND ended_at <= %(now)s + interval '2 minutes'
ORDER BY ended_at DESC LIMIT 1

-- name: later
-- The hourly runs that began after it: those that failed, the newest of their problems, and when one
-- began that is at work and has not taken too long yet.
SELECT count(*) FILTER (WHERE failed), (array_agg(problem ORDER BY started_at DESC)
  FILTER (WHERE failed))[1], max(started_at) FILTER (WHERE state = 'running' AND NOT failed
  AND started_at > %(now)s - %(longest)s)
FROM (
  SELECT state, started_at, problem, state IN ('failed', 'died')
    OR run_id IN (SELECT run_id FROM songswap.dead_runs(%(now)s)) AS failed
  FROM songswap.runs
  WHERE NOT starts_with(run_id, 'follow__') AND started_at > coalesce(%(since)s::timestamptz, '-infinity')
    AND started_at <= %(now)s + interval '2 minutes'
) runs
