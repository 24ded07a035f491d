-- The platform's tables, as the server's catalogue has them.

-- name: shapes
-- Those of the tables that exist. A column of a domain has the type below it. to_jsonb() reads columns of
-- the catalogue that old servers do not have.
WITH RECURSIVE domains (oid, base, modifier, required, filled) AS (
  SELECT oid, typbasetype, typtypmod, typnotnull, typdefault IS NOT NULL
  FROM pg_type WHERE typtype = 'd'
  UNION ALL
  SELECT d.oid, t.typbasetype, greatest(d.modifier, t.typtypmod), d.required OR t.typnotnull,
    d.filled OR t.typdefault IS NOT NULL
  FROM domains d JOIN pg_type t ON t.oid = d.base WHERE t.typtype = 'd'
), tables AS (
  SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s)
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT c.relname, c.relkind::text, pg_get_userbyid(c.relowner),
  row_security_active(c.oid), c.relforcerowsecurity,
  EXISTS (
    -- For each row, before an INSERT: it may fill what is left out.
    SELECT FROM pg_trigger t
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 7 = 7
  ),
  (
    SELECT coalesce(jsonb_object_agg(a.attname, jsonb_build_object(
      'type', t.typname,
      'modifier', greatest(d.modifier, a.atttypmod),
      'nullable', NOT (a.attnotnull OR coalesce(d.required, false)),
      'filled', a.atthasdef OR a.attidentity <> '' OR coalesce(d.filled, false),
      'generated', coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '',
      'folds', coalesce(to_jsonb(l) ->> 'collisdeterministic', 'true') = 'false'
    )), '{}')
    FROM pg_attribute a
    LEFT JOIN domains d ON d.oid = a.atttypid
      AND d.base IN (SELECT oid FROM pg_type WHERE typtype <> 'd')
    JOIN pg_type t ON t.oid = coalesce(d.base, a.atttypid)
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ),
  (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
      'name', k.relname,
      'columns', ARRAY(
        SELECT a.attname::text
        FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS place (number, ordinal)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = place.number
        WHERE place.ordinal <= i.indnkeyatts
      ),
      'lacks', CASE
        WHEN NOT i.indimmediate THEN 'deferrable'
        WHEN i.indpred IS NOT NULL THEN 'partial'
        WHEN i.indexprs IS NOT NULL THEN 'of expressions'
        WHEN NOT i.indisvalid THEN 'not valid'
      END
    )), '[]')
    FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisunique
  ),
  (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
      'name', k.conname,
      'columns', ARRAY(
        SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
      ),
      'parent', p.relname,
      'cascades', k.confdeltype = 'c'
    )), '[]')
    FROM pg_constraint k JOIN pg_class p ON p.oid = k.confrelid
    WHERE k.conrelid = c.oid AND k.contype = 'f'
  )
FROM tables c

-- name: hiding
-- The pipeline's own tables whose row level security applies to this role.
SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), c.relforcerowsecurity
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'songswap' AND c.relkind IN ('r', 'p') AND row_security_active(c.oid)
ORDER BY c.relname

-- name: referred
-- The schemas to which the pipeline's own foreign keys refer.
SELECT DISTINCT p.nspname
FROM pg_constraint k
JOIN pg_namespace n ON n.oid = k.connamespace AND n.nspname = 'songswap'
JOIN pg_class c ON c.oid = k.confrelid
JOIN pg_namespace p ON p.oid = c.relnamespace AND p.nspname <> 'songswap'
WHERE k.contype = 'f'
