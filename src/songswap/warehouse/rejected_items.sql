-- Rejected items of responses and exports.

-- name: keep_earliest
-- The earliest response that has an item is the one to name, whichever was loaded first.
UPDATE songswap.rejected_items k SET
  raw_key = r.raw_key, found_at = r.found_at, run_id = %(run_id)s
FROM unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(raw_keys)s::text[],
  %(found_at)s::timestamptz[]) r (user_id, fingerprint, raw_key, found_at)
WHERE k.user_id = r.user_id AND k.fingerprint = r.fingerprint AND r.found_at < k.found_at

-- name: insert
-- Each item once, however many responses repeat it.
INSERT INTO songswap.rejected_items
  (user_id, fingerprint, reason, played_at, raw_key, found_at, run_id)
SELECT user_id, fingerprint, reason, played_at, raw_key, found_at, %(run_id)s
FROM unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(reasons)s::text[],
  %(played_at)s::text[], %(raw_keys)s::text[], %(found_at)s::timestamptz[])
  r (user_id, fingerprint, reason, played_at, raw_key, found_at)
ORDER BY user_id, fingerprint
ON CONFLICT DO NOTHING

-- name: untimely
-- Items that were rejected for their time, which may be right by another clock.
SELECT user_id, fingerprint, played_at FROM songswap.rejected_items
WHERE user_id = ANY (%(users)s) AND reason = %(reason)s

-- name: delete_loaded
-- Of these items those whose play is loaded: the clock was wrong.
DELETE FROM songswap.rejected_items k
USING unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(played_at)s::timestamptz[])
  r (user_id, fingerprint, played_at)
JOIN "History" h ON h.user_id = r.user_id AND h.played_at = r.played_at AT TIME ZONE 'UTC'
WHERE k.user_id = r.user_id AND k.fingerprint = r.fingerprint

-- name: move_raw
-- Of all items of one response.
UPDATE songswap.rejected_items SET raw_key = %(key)s
WHERE user_id = %(user_id)s AND found_at = %(found_at)s
