-- What every session and every transaction begins with.

-- name: open
-- What a transaction is too late for: a session is silent while Spotify is asked, and a limit of
-- milliseconds would end it between BEGIN and what follows. Only what is limited is set, for a pooler
-- may hand the session to others.
SELECT set_config(name, '0', false) FROM unnest(
  '{idle_session_timeout,idle_in_transaction_session_timeout,transaction_timeout}'::text[]) s (name)
WHERE current_setting(name, true) <> '0'

-- name: begin
-- Until its end. Old servers do not know all of the settings. That a COMMIT is on the server's disk is
-- what the spool relies on: a role's "off" does not hold, and of the other ways none is touched.
SELECT pg_backend_pid(),
  (SELECT count(set_config(name, value, true))
   FROM unnest(%(names)s::text[], %(values)s::text[]) s (name, value)
   WHERE current_setting(name, true) IS NOT NULL),
  CASE current_setting('synchronous_commit')
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END
