-- Which schema holds the platform's tables.

-- name: candidates
-- From the catalogue, which every role may read. The path is that with which the session began, by its
-- options or by ALTER ROLE and ALTER DATABASE, whatever it has set since. A table "Users" alone may belong
-- to another application.
WITH holders AS (
  SELECT n.nspname::text AS name, bool_or(c.relname = 'History') AS has_history
  FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
  WHERE c.relname = ANY (%(tables)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname <> 'songswap' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  GROUP BY n.nspname
  HAVING bool_or(c.relname = 'Users') AND count(*) > 1
)
SELECT reset_val AS search_path, current_user AS role,
  ARRAY(SELECT name FROM holders WHERE has_history ORDER BY name) AS whole,
  ARRAY(SELECT name FROM holders ORDER BY name) AS begun,
  ARRAY(SELECT nspname::text FROM pg_namespace) AS existing
FROM pg_settings WHERE name = 'search_path'
