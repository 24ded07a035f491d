-- Around the migrations, which are files of their own.

-- name: has_version
SELECT to_regclass('songswap.alembic_version') IS NOT NULL

-- name: has_schema
SELECT to_regnamespace('songswap') IS NOT NULL

-- name: version
SELECT version_num FROM songswap.alembic_version
