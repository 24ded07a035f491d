-- What a run brought, by the counts that its loads recorded.

-- name: of_imports
-- The counts of a run of imports, whose ids are made of the run's and the user's; and of how many users.
SELECT name, sum(value::bigint)::bigint, count(DISTINCT user_id) FILTER (WHERE value::bigint > 0)
FROM songswap.imports, jsonb_each_text(counts) AS each (name, value)
WHERE starts_with(import_id, %(prefix)s)
GROUP BY name

-- name: record
-- Counts of a part add up over its tries.
INSERT INTO songswap.news AS n (run_id, part, counts) VALUES (%(run_id)s, %(part)s, %(counts)s)
ON CONFLICT (run_id, part) DO UPDATE SET counts = (
  SELECT jsonb_object_agg(name, total)
  FROM (
    SELECT name, sum(value::bigint) AS total
    FROM (
      SELECT * FROM jsonb_each_text(n.counts)
      UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.counts)
    ) both_tries (name, value)
    GROUP BY name
  ) totals
)

-- name: of_parts
-- The counts of all parts of a run.
SELECT name, sum(value::bigint)::bigint
FROM songswap.news, jsonb_each_text(counts) AS each (name, value)
WHERE run_id = %(run_id)s
GROUP BY name
