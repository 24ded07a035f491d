-- The table that holds the version of the pipeline's schema.

-- name: tables
-- The tables that can have the version, and whether they can be read; from the catalogue, which every role
-- may read. With a role named songswap, the web app's "alembic_version" can be in our schema too: it is
-- ours only beside our tables, and with a version of ours in it.
SELECT c.relname,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'songswap' AND c.relkind = 'r'
  AND (c.relname = 'schema_version' OR c.relname = 'alembic_version' AND EXISTS (
    SELECT FROM pg_class r WHERE r.relnamespace = n.oid AND r.relname = 'runs'
  ))
ORDER BY c.relname DESC

-- name: schema_version
-- The version, from version 0008 on.
SELECT version_num FROM songswap.schema_version

-- name: alembic_version
-- The version, up to version 0007.
SELECT version_num FROM songswap.alembic_version WHERE version_num ~ '^[0-9]{4}$'

-- name: rename_to_schema_version
-- In an upgrade.
ALTER TABLE songswap.alembic_version RENAME CONSTRAINT alembic_version_pkc TO schema_version_pkc;
ALTER TABLE songswap.alembic_version RENAME TO schema_version

-- name: rename_to_alembic_version
-- In a downgrade.
ALTER TABLE songswap.schema_version RENAME CONSTRAINT schema_version_pkc TO alembic_version_pkc;
ALTER TABLE songswap.schema_version RENAME TO alembic_version
