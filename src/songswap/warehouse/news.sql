-- What a run brought, by the counts that its loads recorded.

-- name: of_imports
-- The counts of a run of imports, whose ids are made of the run's and the user's; and of how many users.
SELECT name, sum(value::bigint)::bigint, count(DISTINCT user_id) FILTER (WHERE value::bigint > 0)
FROM songswap.imports, jsonb_each_text(counts) AS each (name, value)
WHERE starts_with(import_id, %(prefix)s)
GROUP BY name
