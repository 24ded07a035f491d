-- Rows that are older than a limit, and that nothing reads any more.

-- name: limits
-- The limit of rows by their age, and that of runs by their start, which is earlier where one of these runs
-- is older: the hourly run that ended well last, the last of all, and the last that found users. A clock of
-- ours that is ahead counts as the server's.
SELECT least(%(now)s::timestamptz, clock_timestamp()) - %(keep)s, least(
  least(%(now)s::timestamptz, clock_timestamp()) - %(keep)s,
  (SELECT max(started_at) FROM songswap.runs
    WHERE state IN ('success', 'paused') AND NOT starts_with(run_id, 'follow__')),
  (SELECT max(started_at) FROM songswap.runs
    WHERE state <> 'running' AND NOT starts_with(run_id, 'follow__')),
  (SELECT r.started_at FROM songswap.runs r JOIN songswap.steps s ON s.run_id = r.run_id
    WHERE s.step = 'plan' AND (s.counts ->> 'users')::bigint > 0 ORDER BY r.started_at DESC LIMIT 1)
)

-- name: count_old
-- By table. A run that goes on is never old, nor is one whose refused grants are not settled, or whose
-- counts are not in songswap.totals.
WITH old_runs AS (
  SELECT run_id FROM songswap.runs r
  WHERE started_at < %(runs_before)s AND state <> 'running' AND counted IS NOT NULL AND NOT EXISTS (
    SELECT FROM songswap.grants g
    WHERE g.refused_in = r.run_id AND g.state IN ('refused', 'forbidden'))
)
SELECT 'runs', count(*) FROM old_runs
UNION ALL SELECT 'steps', count(*) FROM songswap.steps JOIN old_runs USING (run_id)
UNION ALL SELECT 'requests', count(*) FROM songswap.requests WHERE at < %(before)s
UNION ALL SELECT 'snapshots', count(*) FROM songswap.snapshots
  WHERE taken_at < %(before)s AND taken_at < (
    SELECT max(taken_at) - interval '7 days' FROM songswap.snapshots)

-- name: delete_runs
-- The oldest ones, by the rule of `count_old`, with their steps; returns how many of each. A row that
-- somebody else works on is left for the next time.
WITH old_runs AS (
  SELECT run_id FROM songswap.runs r
  WHERE started_at < %(runs_before)s AND state <> 'running' AND counted IS NOT NULL AND NOT EXISTS (
    SELECT FROM songswap.grants g
    WHERE g.refused_in = r.run_id AND g.state IN ('refused', 'forbidden'))
  ORDER BY started_at LIMIT %(at_most)s
  FOR UPDATE SKIP LOCKED
), deleted_steps AS (
  DELETE FROM songswap.steps s USING old_runs o WHERE s.run_id = o.run_id RETURNING 1
), deleted_runs AS (
  DELETE FROM songswap.runs r USING old_runs o WHERE r.run_id = o.run_id RETURNING 1
)
SELECT (SELECT count(*) FROM deleted_runs), (SELECT count(*) FROM deleted_steps)

-- name: delete_requests
-- Of apps that are not used any more: an app in use deletes its own after two days.
DELETE FROM songswap.requests WHERE at < %(before)s

-- name: delete_snapshots
-- The oldest ones. The last week before the newest stays: the page shows that, and how old it is, and the
-- check of the tables compares it with the day before.
DELETE FROM songswap.snapshots WHERE taken_at IN (
  SELECT taken_at FROM songswap.snapshots
  WHERE taken_at < %(before)s AND taken_at < (
    SELECT max(taken_at) - interval '7 days' FROM songswap.snapshots)
  ORDER BY taken_at LIMIT %(at_most)s
)
