-- The table that holds the version of the pipeline's schema.

-- name: tables
-- Where the version stands, and whether it can be read; from the catalogue, which answers whatever the
-- role may do. With a role named songswap, the web app's "alembic_version" can be in our schema too:
-- only beside our tables, and with a version of ours in it, it is ours.
SELECT c.relname,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'songswap' AND c.relkind = 'r'
  AND (c.relname = 'schema_version' OR c.relname = 'alembic_version' AND EXISTS (
    SELECT FROM pg_class r WHERE r.relnamespace = n.oid AND r.relname = 'runs'
  ))
ORDER BY c.relname DESC

-- name: schema_version
SELECT version_num FROM songswap.schema_version

-- name: alembic_version
SELECT version_num FROM songswap.alembic_version WHERE version_num ~ '^[0-9]{4}$'

-- name: rename_to_schema_version
ALTER TABLE songswap.alembic_version RENAME CONSTRAINT alembic_version_pkc TO schema_version_pkc;
ALTER TABLE songswap.alembic_version RENAME TO schema_version

-- name: rename_to_alembic_version
ALTER TABLE songswap.schema_version RENAME CONSTRAINT schema_version_pkc TO alembic_version_pkc;
ALTER TABLE songswap.schema_version RENAME TO alembic_version
