-- A role that is named like the pipeline's schema.

-- name: search_path
-- The path with which its sessions begin in this database, and whether this session's role may set it. Not
-- every role may read the path in the server's file: PostgreSQL's default stands in for it.
SELECT coalesce(
    (
      SELECT substr(setting, length('search_path=') + 1)
      FROM pg_db_role_setting s, unnest(s.setconfig) setting
      WHERE s.setrole IN (r.oid, 0) AND setting LIKE 'search_path=%%'
        AND s.setdatabase IN ((SELECT oid FROM pg_database WHERE datname = current_database()), 0)
      ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1
    ),
    (SELECT boot_val FROM pg_settings WHERE name = 'search_path')
  ),
  r.rolname = current_user OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  current_database()
FROM pg_roles r WHERE r.rolname = %(name)s

-- name: misplaced
-- Tables of the web app that such a role has created in the pipeline's schema.
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(name)s AND c.relname = ANY (%(tables)s)
ORDER BY c.relname
