-- Erasures in the spool of a host.

-- name: unconfirmed
-- Also ended ones, and those of which the host was forgotten: its disk is back. Who works on a spool that the
-- warehouse does not know has loaded no credentials yet: it is introduced before.
SELECT e.erasure_id, e.user_id, e.renewed_at, e.keeps_account AND e.renewed_at IS NULL,
  coalesce(p.at_work, '{}'),
  e.ended_at IS NOT NULL AND p.place IS NULL
    AND NOT EXISTS (SELECT FROM songswap.spools WHERE spool_id = %(spool_id)s)
FROM songswap.erasures e
LEFT JOIN songswap.erasure_places p
  ON p.erasure_id = e.erasure_id AND p.place = %(spool_id)s::uuid::text
WHERE p.confirmed_at IS NULL OR p.removed ? 'forgotten'
ORDER BY e.erasure_id

-- name: record
-- Two processes of the host may do it at once. The counts only grow, so that the larger ones are later;
-- whom the first one saw at work stays, and so does a confirmation. A host that comes after the end, and has
-- nothing of the user, needs no other sweep: each new host would open all that have ever ended.
INSERT INTO songswap.erasure_places AS p
  (erasure_id, place, host, first_seen_at, at_work, removed, confirmed_at, swept, problem)
SELECT n.erasure_id, %(spool_id)s::uuid::text, %(host)s, c.now, %(at_work)s::bigint[], n.removed::jsonb,
  CASE WHEN n.confirms THEN c.now END,
  CASE WHEN n.confirms AND e.ended_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM jsonb_each_text(n.removed::jsonb) WHERE value::bigint > 0
  ) THEN c.now END,
  n.problem
FROM clock_timestamp() c (now), unnest(
  %(erasure_id)s::bigint[], %(removed)s::text[], %(confirms)s::boolean[], %(problem)s::text[]
) n (erasure_id, removed, confirms, problem)
JOIN songswap.erasures e ON e.erasure_id = n.erasure_id
ORDER BY n.erasure_id
ON CONFLICT (erasure_id, place) DO UPDATE SET
  host = EXCLUDED.host,
  at_work = CASE WHEN p.at_work = '{}' THEN EXCLUDED.at_work ELSE p.at_work END,
  removed = (
    SELECT jsonb_object_agg(kind, number) FROM (
      SELECT kind, max(number::bigint) FROM (
        SELECT * FROM jsonb_each_text(p.removed)
        UNION ALL
        SELECT * FROM jsonb_each_text(EXCLUDED.removed)
      ) counts (kind, number)
      WHERE kind <> 'forgotten' OR EXCLUDED.confirmed_at IS NULL
      GROUP BY kind
    ) largest (kind, number)
  ),
  confirmed_at = coalesce(EXCLUDED.confirmed_at, p.confirmed_at),
  problem = CASE
    WHEN EXCLUDED.confirmed_at IS NULL AND (p.confirmed_at IS NULL OR p.removed ? 'forgotten')
      THEN EXCLUDED.problem
  END
