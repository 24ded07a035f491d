-- The rights that the statements of this folder need.

-- name: server
-- A standby, or a session with default_transaction_read_only, is read-only.
SELECT current_setting('server_version'), current_setting('transaction_read_only') = 'on'

-- name: missing_tables
-- From the catalogue, which every role may read.
SELECT name FROM unnest(%(tables)s::text[]) AS needed (name)
WHERE NOT EXISTS (
  SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE nspname || '.' || relname = name
)
ORDER BY name

-- name: missing_grants
-- GRANT statements for missing rights. A right to some columns counts as the right.
SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', nspname, current_user)
FROM pg_namespace
WHERE nspname IN (%(schema)s, 'songswap') AND NOT has_schema_privilege(oid, 'USAGE')
UNION ALL
SELECT format('GRANT TEMPORARY ON DATABASE %%I TO %%I', current_database(), current_user)
WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
UNION ALL
SELECT format('GRANT %%s ON %%I.%%I TO %%I',
  string_agg(allowed, ', ' ORDER BY place), nspname, relname, current_user)
FROM unnest(%(tables)s::text[], %(rights)s::text[]) WITH ORDINALITY AS needed (name, allowed, place)
JOIN pg_class c ON true
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE nspname || '.' || relname = name AND NOT CASE allowed
  WHEN 'DELETE' THEN has_table_privilege(c.oid, allowed)
  ELSE has_any_column_privilege(c.oid, allowed)
END
GROUP BY nspname, relname

-- name: missing_reads
-- GRANT statements for columns, or for all of a table, that cannot be read.
SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', nspname, current_user)
FROM pg_namespace
WHERE nspname IN (%(schema)s, 'songswap') AND NOT has_schema_privilege(oid, 'USAGE')
UNION ALL
SELECT format('GRANT SELECT%%s ON %%I.%%I TO %%I',
  ' (' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE listed <> '') || ')',
  nspname, relname, current_user)
FROM unnest(%(tables)s::text[], %(columns)s::text[]) AS needed (name, listed)
JOIN pg_class c ON true
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
  AND (listed = '' OR attname = ANY (string_to_array(listed, ',')))
WHERE nspname || '.' || relname = name AND NOT has_column_privilege(c.oid, attnum, 'SELECT')
GROUP BY nspname, relname, listed

-- name: surplus
-- What this role may write in the two schemas, and which of some columns it may read.
SELECT format('%%s on %%I.%%I', string_agg(allowed, ', ' ORDER BY place), nspname, relname)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest('{INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) WITH ORDINALITY AS r (allowed, place)
WHERE nspname IN (%(schema)s, 'songswap') AND relkind IN ('r', 'p') AND CASE
  WHEN allowed IN ('DELETE', 'TRUNCATE') THEN has_table_privilege(c.oid, allowed)
  ELSE has_any_column_privilege(c.oid, allowed)
END
GROUP BY nspname, relname
UNION ALL
SELECT format('CREATE on schema %%I', nspname) FROM pg_namespace
WHERE nspname IN (%(schema)s, 'songswap') AND has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT format('SELECT (%%s) on %%I.%%I', string_agg(attname, ', ' ORDER BY attnum), nspname, relname)
FROM unnest(%(tables)s::text[], %(columns)s::text[]) AS secret (name, listed)
JOIN pg_class c ON true
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND attname = ANY (string_to_array(listed, ','))
WHERE nspname || '.' || relname = name AND has_column_privilege(c.oid, attnum, 'SELECT')
GROUP BY nspname, relname
