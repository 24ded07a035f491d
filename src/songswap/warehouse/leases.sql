-- Leases of runs.

-- name: renew
-- By the server's clock, which is the same for all who work on a run.
UPDATE songswap.runs SET alive_until = clock_timestamp() + %(lease)s
WHERE run_id = %(run_id)s AND state = 'running'

-- name: end_dead_runs
-- A run that is done step by step may wait between two: its own next step does not end it.
UPDATE songswap.runs r
SET state = 'died', held = false, ended_at = d.last_sign, problem = %(problem)s
FROM songswap.dead_runs(%(now)s) d
WHERE r.run_id = d.run_id AND (r.held OR r.run_id IS DISTINCT FROM %(run_id)s)

-- name: is_hourly_run_active
-- Without a run that started before one that has ended, so that it blocks nobody.
SELECT EXISTS (
  SELECT FROM songswap.runs r
  WHERE r.state = 'running' AND r.started_at > %(since)s AND NOT songswap.is_overtaken(r)
)
