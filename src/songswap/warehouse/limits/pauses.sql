-- What Spotify told the app itself to wait for.

-- name: find
-- One that was noted in the future was noted by a clock that was wrong, and so is its end.
SELECT reason, until FROM songswap.pauses
WHERE app = %(app)s AND until > %(now)s AND noted_at <= %(now)s + interval '2 minutes'

-- name: all
SELECT app, reason, until FROM songswap.pauses
WHERE until > %(now)s AND noted_at <= %(now)s + interval '2 minutes'
ORDER BY until DESC, app

-- name: note
INSERT INTO songswap.pauses AS p (app, until, reason, noted_at)
VALUES (%(app)s, %(until)s, %(reason)s, %(now)s)
ON CONFLICT (app) DO UPDATE SET
  until = EXCLUDED.until, reason = EXCLUDED.reason, noted_at = EXCLUDED.noted_at
WHERE p.until < EXCLUDED.until OR p.noted_at > EXCLUDED.noted_at + interval '2 minutes'
