-- Advisory locks of transactions.

-- name: lock
-- In this order, so that only this lock of the transaction has the longer timeout.
SELECT set_config('lock_timeout', %(turn)s, true),
  pg_advisory_xact_lock(%(number)s::bigint),
  set_config('lock_timeout', %(lock)s, true)
