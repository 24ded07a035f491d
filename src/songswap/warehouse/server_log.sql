-- What the server logs of this session's statements.

-- name: settings
SELECT quote_ident(current_user), coalesce(jsonb_object_agg(name, setting), '{}')
FROM pg_settings WHERE name = ANY (%(names)s)
