-- Around the migrations, which are files of their own.

-- name: has_schema
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'songswap')

-- name: lacking
-- What has to be run before this role can bring the schema to another version. Of the catalogue, which
-- answers whatever the role may do.
WITH platform AS (
  SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s)
), needed (place, name, allowed) AS (
  SELECT 1, 'songswap', allowed FROM unnest('{USAGE,CREATE}'::text[]) AS rights (allowed)
  UNION ALL SELECT 2, %(schema)s, 'USAGE'
  UNION ALL SELECT 2, %(schema)s, 'CREATE'
  WHERE (SELECT count(*) FROM platform) < cardinality(%(tables)s::text[])
)
SELECT format('CREATE SCHEMA %%I AUTHORIZATION %%I', %(schema)s, current_user)
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)s)
UNION ALL
SELECT format('GRANT CREATE ON DATABASE %%I TO %%I', current_database(), current_user)
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'songswap')
  AND NOT has_database_privilege(current_database(), 'CREATE')
UNION ALL (
  SELECT format('GRANT %%s ON SCHEMA %%I TO %%I',
    string_agg(allowed, ', ' ORDER BY allowed DESC), nspname, current_user)
  FROM needed JOIN pg_namespace n ON n.nspname = needed.name
  WHERE NOT has_schema_privilege(n.oid, allowed)
  GROUP BY nspname, place ORDER BY place
)
UNION ALL (
  SELECT format('GRANT REFERENCES ON %%I.%%I TO %%I', %(schema)s, relname, current_user)
  FROM platform
  WHERE relname IN ('Users', 'Tracks', 'Artists')
    AND NOT has_any_column_privilege(oid, 'REFERENCES')
  ORDER BY relname DESC
)

-- name: owners
-- Who has made what is in our schema, where this role is no member of them.
SELECT r.rolname
FROM (
  SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'songswap' AND c.relkind IN ('r', 'p', 'v', 'S')
  UNION
  SELECT p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = 'songswap'
) own (owner)
JOIN pg_roles r ON r.oid = own.owner
WHERE NOT pg_has_role(own.owner, 'USAGE')
ORDER BY r.rolname
