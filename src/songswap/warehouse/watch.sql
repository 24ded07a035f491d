-- Who holds the lock that a session waits for.

-- name: holders
-- The head of the queue, without sessions that wait in turn. Only a role with pg_read_all_stats sees more
-- than the name of other roles' sessions. A prepared transaction has no session.
WITH RECURSIVE chain (pid) AS (
  SELECT unnest(pg_blocking_pids(%(pid)s))
  UNION SELECT unnest(pg_blocking_pids(chain.pid)) FROM chain
)
SELECT chain.pid, coalesce(nullif(application_name, ''), usename, backend_type), state,
  coalesce(xact_start, query_start) AS since
FROM chain LEFT JOIN pg_stat_activity USING (pid)
WHERE pg_blocking_pids(chain.pid) = '{}'
ORDER BY since, pid
LIMIT 3

-- name: end_frozen
-- Ends a session of ours that has the lock of all loads and waits for its process to send rows: no timeout
-- of PostgreSQL ends a COPY that waits.
SELECT pid, pg_terminate_backend(pid)
FROM pg_locks JOIN pg_stat_activity a USING (pid)
WHERE pid = ANY (pg_blocking_pids(%(pid)s)) AND usename = current_user
  AND locktype = 'advisory' AND (classid, objid, objsubid) = (0, 7317530, 1)
  AND state = 'active' AND wait_event = 'ClientRead'
  AND query_start < clock_timestamp() - %(copy_s)s * interval '1 second'
