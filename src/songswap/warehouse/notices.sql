-- What engineers were told of last.

-- name: find
SELECT sent_at, detail FROM songswap.notices WHERE subject = %(subject)s

-- name: note
INSERT INTO songswap.notices (subject, sent_at, detail) VALUES (%(subject)s, %(now)s, %(detail)s)
ON CONFLICT (subject) DO UPDATE SET sent_at = EXCLUDED.sent_at, detail = EXCLUDED.detail

-- name: forget
DELETE FROM songswap.notices WHERE subject = %(subject)s
