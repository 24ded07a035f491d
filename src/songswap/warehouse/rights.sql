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
