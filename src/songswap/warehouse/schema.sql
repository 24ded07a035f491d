-- Which schema holds the platform's tables.

-- name: candidates
-- From the catalogue, which answers whatever the role may do. The path is the one that the session was
-- opened with, by its options or by ALTER ROLE and ALTER DATABASE: what was set in it since does not
-- count. Other applications too may have a table "Users".
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
