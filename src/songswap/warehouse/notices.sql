-- Notices that were sent to engineers.

-- name: find
-- The last one on a subject.
SELECT sent_at, detail FROM songswap.notices WHERE subject = %(subject)s

-- name: find_all
-- The last one on each subject that begins with a prefix.
SELECT subject, sent_at, detail FROM songswap.notices
WHERE starts_with(subject, %(prefix)s) ORDER BY subject

-- name: record
-- One row a subject: the last one.
INSERT INTO songswap.notices (subject, sent_at, detail) VALUES (%(subject)s, %(now)s, %(detail)s)
ON CONFLICT (subject) DO UPDATE SET sent_at = EXCLUDED.sent_at, detail = EXCLUDED.detail

-- name: forget
-- When a subject is over.
DELETE FROM songswap.notices WHERE subject = %(subject)s
