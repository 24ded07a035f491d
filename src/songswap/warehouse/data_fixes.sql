-- Data fixes: what was cut, cleaned or left out of rows that are stored.

-- name: insert
-- Each fix once, however many responses have it, with the earliest time of these.
INSERT INTO songswap.data_fixes (kind, id, field, problem, found_at)
SELECT kind, id, field, problem, min(found_at)
FROM unnest(%(kinds)s::text[], %(ids)s::text[], %(fields)s::text[], %(problems)s::text[],
  %(found_at)s::timestamptz[]) s (kind, id, field, problem, found_at)
GROUP BY kind, id, field, problem
ORDER BY kind, id, field, problem
ON CONFLICT DO NOTHING
