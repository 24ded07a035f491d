-- What all runs counted.

-- name: lock_runs
-- The run, and runs that ended without being added. Whoever adds the same ones waits here.
SELECT run_id FROM songswap.runs
WHERE run_id = %(run_id)s OR (counted IS NULL AND state <> 'running')
ORDER BY run_id
FOR UPDATE

-- name: add
-- Of each run only what was not added before: a run that is continued counts on. Totals are locked in the
-- order of their names.
WITH found AS (
  SELECT run_id, name, sum(value::bigint)::bigint AS total
  FROM songswap.steps, jsonb_each_text(counts) AS each (name, value)
  WHERE run_id = ANY (%(run_ids)s) AND step <> 'plan'
  GROUP BY run_id, name
), added AS (
  INSERT INTO songswap.totals AS t (name, total)
  SELECT name, sum(greatest(total - coalesce((counted ->> name)::bigint, 0), 0))
  FROM found JOIN songswap.runs USING (run_id)
  GROUP BY name ORDER BY name
  ON CONFLICT (name) DO UPDATE SET total = t.total + EXCLUDED.total
)
UPDATE songswap.runs r
SET counted = coalesce(
  (SELECT jsonb_object_agg(name, total) FROM found WHERE found.run_id = r.run_id), '{}'
)
WHERE run_id = ANY (%(run_ids)s)

-- name: of_runs
-- One row for each count that a run has had.
SELECT name, total FROM songswap.totals ORDER BY name

-- name: of_imports
-- Their rows are never deleted. User 0 belongs to the test DAGs.
SELECT name, sum(value::bigint)::bigint
FROM songswap.imports, jsonb_each_text(counts) AS each (name, value)
WHERE user_id <> 0
GROUP BY name ORDER BY name

-- name: seconds_of_steps
-- From the start of the run to the end of the last part of each of its steps.
SELECT step, extract(epoch FROM max(s.ended_at) - r.started_at)::float
FROM songswap.runs r JOIN songswap.steps s USING (run_id)
WHERE run_id = %(run_id)s AND s.ended_at IS NOT NULL
GROUP BY step, r.started_at
ORDER BY step
