-- name: lock
-- In this order: waits longer for this lock than for any other of the transaction.
SELECT set_config('lock_timeout', %(turn)s, true),
  pg_advisory_xact_lock(%(number)s::bigint),
  set_config('lock_timeout', %(lock)s, true)
