-- What every session and every transaction begins with.

-- name: open
-- The one setting of a session: it is silent while Spotify is asked, between transactions.
SELECT set_config('idle_session_timeout', '0', false)
WHERE current_setting('idle_session_timeout', true) <> '0'

-- name: begin
-- Until its end. Old servers do not know all of the settings. That a COMMIT is on the server's disk is
-- what the spool relies on: a role's "off" does not hold, and of the other ways none is touched.
SELECT pg_backend_pid(),
  (SELECT count(set_config(name, value, true))
   FROM unnest(%(names)s::text[], %(values)s::text[]) s (name, value)
   WHERE current_setting(name, true) IS NOT NULL),
  CASE current_setting('synchronous_commit')
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END
