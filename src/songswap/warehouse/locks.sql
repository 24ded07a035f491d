-- Waits for sessions of ours, which have a longer timeout than others: it is set before the wait and reset
-- after it, in the same statement.

-- name: lock_migrations
-- In the order of the list.
SELECT set_config('lock_timeout', %(turn)s, true),
  pg_advisory_xact_lock(%(number)s::bigint),
  set_config('lock_timeout', %(lock)s, true)

-- name: lock_users
-- Returns those who exist. A row is filtered before it is locked, and the sum is made after all are. A user
-- who is deleted meanwhile would break the load's foreign keys.
WITH locked AS MATERIALIZED (
  SELECT id FROM "Users"
  WHERE id = ANY (%(users)s) AND set_config('lock_timeout', %(turn)s, true) IS NOT NULL
  ORDER BY id FOR NO KEY UPDATE
)
SELECT coalesce(array_agg(id), '{}'), set_config('lock_timeout', %(lock)s, true) FROM locked

-- name: lock_to_erase
-- Also against rows that refer to the user.
WITH locked AS MATERIALIZED (
  SELECT id FROM "Users"
  WHERE id = %(user_id)s AND set_config('lock_timeout', %(turn)s, true) IS NOT NULL
  FOR UPDATE
)
SELECT count(*), set_config('lock_timeout', %(lock)s, true) FROM locked

-- name: lock_tokens_to_erase
-- After the user: who adds a row has ended by then. The web app does not replace what is looked at.
SELECT FROM "SpotifyTokens" WHERE id = %(user_id)s FOR UPDATE

-- name: lock_shards
-- In order, before any of them changes.
WITH locked AS MATERIALIZED (
  SELECT shard FROM songswap.catalogue_shards
  WHERE shard = ANY (%(shards)s) AND set_config('lock_timeout', %(turn)s, true) IS NOT NULL
  ORDER BY shard FOR NO KEY UPDATE
), changed AS (
  UPDATE songswap.catalogue_shards c SET version = c.version + 1
  FROM locked WHERE c.shard = locked.shard
  RETURNING c.shard, c.version
)
SELECT coalesce(array_agg(shard), '{}'), coalesce(array_agg(version), '{}'),
  set_config('lock_timeout', %(lock)s, true) FROM changed

-- name: lock_free_shards
-- The first of those that nobody has locked.
WITH locked AS MATERIALIZED (
  SELECT shard FROM songswap.catalogue_shards
  WHERE shard = ANY (%(shards)s)
  ORDER BY shard LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE songswap.catalogue_shards c SET version = c.version + 1
FROM locked WHERE c.shard = locked.shard
RETURNING c.shard, c.version

-- name: shard_versions
-- They change with the rows of their shards.
SELECT shard, version FROM songswap.catalogue_shards
