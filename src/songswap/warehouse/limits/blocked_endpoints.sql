-- Endpoints that are forbidden to an app.

-- name: is_blocked
-- Until the endpoint is to be tried again.
SELECT ask_again_at FROM songswap.blocked_endpoints
WHERE app = %(app)s AND endpoint = %(endpoint)s AND ask_again_at > %(now)s

-- name: block
-- After each 403.
INSERT INTO songswap.blocked_endpoints (app, endpoint, refused_at, ask_again_at)
VALUES (%(app)s, %(endpoint)s, %(now)s, %(again)s)
ON CONFLICT (app, endpoint) DO UPDATE SET
  refused_at = EXCLUDED.refused_at, ask_again_at = EXCLUDED.ask_again_at
