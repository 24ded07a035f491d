-- Around the migrations, which are files of their own.

-- name: has_schema
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'songswap')
