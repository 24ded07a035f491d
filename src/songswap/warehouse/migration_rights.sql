-- The rights that migrations need, and whether this role has them.

-- name: existing_tables
-- Those of the platform.
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s::text AND c.relname = ANY (%(tables)s)

-- name: lacking
-- Statements to run before this role can bring the schema to another version. From the catalogue, which
-- every role may read. A foreign key needs the right to the very column that it refers to.
SELECT format('CREATE SCHEMA %%I AUTHORIZATION %%I', %(schema)s::text, current_user)
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)s::text)
UNION ALL
SELECT format('GRANT CREATE ON DATABASE %%I TO %%I', current_database(), current_user)
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'songswap')
  AND NOT has_database_privilege(current_database(), 'CREATE')
UNION ALL (
  SELECT format('GRANT %%s ON SCHEMA %%I TO %%I',
    string_agg(allowed, ', ' ORDER BY allowed DESC), nspname, current_user)
  FROM (
    SELECT 1, 'songswap', allowed FROM unnest('{USAGE,CREATE}'::text[]) AS rights (allowed)
    UNION ALL SELECT 2, %(schema)s::text, 'USAGE'
    UNION ALL SELECT 2, %(schema)s::text, 'CREATE' WHERE %(makes_tables)s
  ) needed (place, name, allowed)
  JOIN pg_namespace n ON n.nspname = needed.name
  WHERE NOT has_schema_privilege(n.oid, allowed)
  GROUP BY nspname, place ORDER BY place
)
UNION ALL (
  SELECT format('GRANT %%s ON %%I.%%I TO %%I',
    string_agg(DISTINCT allowed, ', '), nspname, relname, current_user)
  FROM unnest(%(of_tables)s::text[], %(of_columns)s::text[], %(rights)s::text[])
    WITH ORDINALITY AS needed (name, attribute, allowed, ordinal)
  JOIN pg_namespace n ON n.nspname = %(schema)s::text
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = needed.name
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = needed.attribute
  WHERE NOT has_column_privilege(c.oid, a.attnum, allowed)
  GROUP BY nspname, relname ORDER BY min(ordinal)
)

-- name: owners
-- Owners of objects in our schema of whom this role is no member.
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
