-- What Spotify told the app itself to wait for.

-- name: find
SELECT reason, until FROM songswap.pauses WHERE app = %(app)s AND until > %(now)s

-- name: note
INSERT INTO songswap.pauses AS p (app, until, reason, noted_at)
VALUES (%(app)s, %(until)s, %(reason)s, %(now)s)
ON CONFLICT (app) DO UPDATE SET
  until = EXCLUDED.until, reason = EXCLUDED.reason, noted_at = EXCLUDED.noted_at
WHERE p.until < EXCLUDED.until
