-- Spools of the hosts, and what waits in them.

-- name: report
-- By the server's clock, which is the same for all hosts; responses have the time at which they came.
-- Tokens have none, nor have damaged responses: they wait since this report, or with what waited before.
INSERT INTO songswap.spools AS s (
  spool_id, host, seen_at, waiting_for_s3, waiting_for_warehouse, waiting_tokens, waiting_since, problem
)
VALUES (
  %(spool_id)s, %(host)s, statement_timestamp(), %(for_s3)s, %(for_warehouse)s, %(tokens)s,
  CASE WHEN %(for_s3)s + %(for_warehouse)s + %(tokens)s > 0
    THEN coalesce(%(since)s, statement_timestamp()) END,
  %(problem)s
)
ON CONFLICT (spool_id) DO UPDATE SET
  host = EXCLUDED.host, seen_at = EXCLUDED.seen_at, waiting_for_s3 = EXCLUDED.waiting_for_s3,
  waiting_for_warehouse = EXCLUDED.waiting_for_warehouse, waiting_tokens = EXCLUDED.waiting_tokens,
  waiting_since = CASE
    WHEN EXCLUDED.waiting_since IS NULL THEN NULL
    WHEN EXCLUDED.waiting_tokens > 0 OR %(since)s::timestamptz IS NULL
      THEN least(s.waiting_since, EXCLUDED.waiting_since)
    ELSE EXCLUDED.waiting_since
  END,
  problem = EXCLUDED.problem
RETURNING seen_at

-- name: last_report
-- Of whatever machine has this spool, or a copy of it.
SELECT seen_at FROM songswap.spools WHERE spool_id = %(spool_id)s

-- name: introduce
-- As one that has reported nothing yet.
INSERT INTO songswap.spools (spool_id, host, seen_at)
VALUES (%(spool_id)s, %(host)s, statement_timestamp())
ON CONFLICT DO NOTHING

-- name: senders
-- Processes that sent tokens whose successors may be in the spool.
SELECT holder FROM songswap.token_exchanges WHERE spool_id = %(spool_id)s
UNION
SELECT holder FROM songswap.cut_off_exchanges WHERE spool_id = %(spool_id)s

-- name: end_exchanges
-- Of processes that have ended, and of which the spool holds no token, but those of some users.
WITH cut_off AS (
  DELETE FROM songswap.cut_off_exchanges
  WHERE spool_id = %(spool_id)s AND holder = ANY (%(ended)s) AND user_id <> ALL (%(waiting)s)
)
UPDATE songswap.token_exchanges SET spool_id = NULL
WHERE spool_id = %(spool_id)s AND holder = ANY (%(ended)s) AND user_id <> ALL (%(waiting)s)

-- name: list
-- Those in which something waits first.
SELECT spool_id, host, seen_at, waiting_for_s3, waiting_for_warehouse, waiting_tokens, waiting_since,
  problem, clock_timestamp() - seen_at > %(silence)s AS is_silent,
  (SELECT count(DISTINCT user_id) FROM songswap.possibly_spooled() h WHERE h.spool_id = s.spool_id)
    AS possible_tokens,
  e.erasures, e.erasing_since
FROM songswap.spools s
CROSS JOIN LATERAL (
  SELECT count(*) AS erasures, min(coalesce(p.first_seen_at, r.requested_at)) AS erasing_since
  FROM songswap.erasure_places p JOIN songswap.erasures r ON r.erasure_id = p.erasure_id
  WHERE p.place = s.spool_id::text AND p.confirmed_at IS NULL
) e
ORDER BY waiting_since, host, spool_id

-- name: token_holders
-- Hosts that may have the newest tokens of users whom a run was refused, and how many users these are.
SELECT p.host, p.seen_at, clock_timestamp() - p.seen_at > %(silence)s, count(DISTINCT g.user_id)
FROM songswap.grants g
JOIN songswap.possibly_spooled() h ON h.user_id = g.user_id
JOIN songswap.spools p ON p.spool_id = h.spool_id
WHERE g.state = 'refused' AND g.refused_in = %(run_id)s
GROUP BY p.spool_id
ORDER BY p.host, p.spool_id

-- name: forget
-- With what may be there. A host that comes back reports again, and erases whom it has not.
WITH erased AS (
  UPDATE songswap.erasure_places SET
    removed = removed || '{"forgotten": 1}', confirmed_at = clock_timestamp(), problem = NULL
  WHERE place = ANY (%(spools)s::uuid[]::text[]) AND confirmed_at IS NULL
), cut_off AS (
  DELETE FROM songswap.cut_off_exchanges WHERE spool_id = ANY (%(spools)s)
), sent AS (
  UPDATE songswap.token_exchanges SET spool_id = NULL WHERE spool_id = ANY (%(spools)s)
)
DELETE FROM songswap.spools WHERE spool_id = ANY (%(spools)s)

-- name: forget_gone
-- Hosts that are gone for good, and left nothing. Where an erasure waits for one, an operator decides.
DELETE FROM songswap.spools p
WHERE p.seen_at < clock_timestamp() - %(age)s AND p.waiting_since IS NULL
  AND NOT EXISTS (SELECT FROM songswap.cut_off_exchanges WHERE spool_id = p.spool_id)
  AND NOT EXISTS (SELECT FROM songswap.token_exchanges WHERE spool_id = p.spool_id)
  AND NOT EXISTS (
    SELECT FROM songswap.erasure_places WHERE place = p.spool_id::text AND confirmed_at IS NULL
  )
