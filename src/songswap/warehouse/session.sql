-- The first statements of every session and every transaction.

-- name: open
-- For the session, because a transaction is too late: a session is idle while Spotify is polled, and a
-- limit of milliseconds would end it right after BEGIN. Unlimited settings are not touched, for a pooler
-- may hand the session to others.
SELECT set_config(name, '0', false) FROM unnest(
  '{idle_session_timeout,idle_in_transaction_session_timeout,transaction_timeout}'::text[]) s (name)
WHERE current_setting(name, true) <> '0'

-- name: begin
-- Until its end, and without settings that an old server does not know. The spool relies on a COMMIT being
-- on the server's disk: a role's synchronous_commit = off is overridden, all other values stay.
SELECT pg_backend_pid(),
  (SELECT count(set_config(name, value, true))
   FROM unnest(%(names)s::text[], %(values)s::text[]) s (name, value)
   WHERE current_setting(name, true) IS NOT NULL),
  CASE current_setting('synchronous_commit')
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END
