-- Pauses that Spotify asked of an app.

-- name: find
-- A pause that was recorded in the future comes of a wrong clock, and so does its end.
SELECT reason, until FROM songswap.pauses
WHERE app = %(app)s AND until > %(now)s AND noted_at <= %(now)s + interval '2 minutes'

-- name: active
-- With the same exception for wrong clocks.
SELECT app, reason, until FROM songswap.pauses
WHERE until > %(now)s AND noted_at <= %(now)s + interval '2 minutes'
ORDER BY until DESC, app

-- name: record
-- The longer of two pauses, but for wrong clocks.
INSERT INTO songswap.pauses AS p (app, until, reason, noted_at)
VALUES (%(app)s, %(until)s, %(reason)s, %(now)s)
ON CONFLICT (app) DO UPDATE SET
  until = EXCLUDED.until, reason = EXCLUDED.reason, noted_at = EXCLUDED.noted_at
WHERE p.until < EXCLUDED.until OR p.noted_at > EXCLUDED.noted_at + interval '2 minutes'
