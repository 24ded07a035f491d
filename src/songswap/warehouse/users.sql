-- A user and the tokens, as the web app writes them.

-- name: keep_user
INSERT INTO "Users" (username, email, spotify_id)
VALUES (%(username)s, %(email)s, %(spotify_id)s)
-- Who is there keeps the name that the platform shows, unless another one is asked for.
ON CONFLICT (spotify_id) DO UPDATE SET
  username = CASE WHEN %(is_named)s THEN EXCLUDED.username ELSE "Users".username END
RETURNING id, username

-- name: keep_tokens
INSERT INTO "SpotifyTokens" (id, access_token, refresh_token)
VALUES (%(user_id)s, %(access_token)s, %(refresh_token)s)
ON CONFLICT (id) DO UPDATE SET
  access_token = EXCLUDED.access_token, refresh_token = EXCLUDED.refresh_token

-- name: there
SELECT id FROM "Users" WHERE id = ANY (%(ids)s)

-- name: rows
SELECT id, username, email, spotify_id FROM "Users" WHERE id = ANY (%(ids)s) ORDER BY id

-- name: copy_user
INSERT INTO "Users" (id, username, email, spotify_id)
-- Also where the id is GENERATED ALWAYS.
OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING

-- name: next_id
-- Who signs up later gets an id that nobody has.
SELECT setval(pg_get_serial_sequence('"Users"', 'id'), max(id)) FROM "Users" HAVING max(id) > 0
