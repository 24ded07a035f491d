-- Preparations for the migrations, which have their own files.

-- name: has_schema
-- Whether our schema exists.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'songswap')
