-- What the server logs of this session's statements.

-- name: settings
-- As this session has them; settings that the server does not know are left out.
SELECT quote_ident(current_user), coalesce(jsonb_object_agg(name, setting), '{}')
FROM pg_settings WHERE name = ANY (%(names)s)
