-- The pipeline's indexes on tables that the web app has created.

-- name: tables
-- Those of the tables that exist, with their indexes.
SELECT t.relname, t.relkind::text, pg_get_userbyid(t.relowner), pg_has_role(t.relowner, 'USAGE'),
  has_schema_privilege(t.relnamespace, 'CREATE'),
  (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
      'name', c.relname,
      'columns', ARRAY(
        SELECT a.attname::text
        FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS place (number, ordinal)
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = place.number
        ORDER BY place.ordinal
      ),
      'keys', i.indnkeyatts,
      'is_whole', i.indpred IS NULL AND i.indexprs IS NULL AND m.amname = 'btree',
      'is_valid', i.indisvalid
    )), '[]')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
    WHERE i.indrelid = t.oid
  )
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = %(schema)s AND t.relname = ANY (%(tables)s)

-- name: lock
-- Be the only build until the session ends: a concurrent build is no transaction.
SELECT pg_try_advisory_lock(7317528)

-- name: settings
-- For the session, which is closed after the builds: a build is no transaction. Its wait for other
-- transactions blocks nobody, so that it may be long.
SELECT set_config('lock_timeout', %(wait)s, false), set_config('statement_timeout', '0', false),
  set_config('client_connection_check_interval', '5s', false)

-- name: settings_of_old_servers
-- The same before PostgreSQL 14, which cannot check for a dead client.
SELECT set_config('lock_timeout', %(wait)s, false), set_config('statement_timeout', '0', false)

-- name: progress
-- Of one session; no row before the build begins.
SELECT phase, blocks_done, blocks_total, tuples_done, tuples_total
FROM pg_stat_progress_create_index WHERE pid = %(pid)s
