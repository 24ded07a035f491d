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
-- Ends a session of ours that blocks this one and waits for its process to send rows: no timeout of PostgreSQL
-- ends a COPY that waits. It is ours if it has the role and has used a table of the pipeline's own schema in its
-- transaction: each load has by then.
SELECT pid, pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE pid = ANY (pg_blocking_pids(%(pid)s)) AND usename = current_user
  AND state = 'active' AND wait_event = 'ClientRead'
  AND query_start < clock_timestamp() - %(copy_s)s * interval '1 second'
  AND pid IN (
    SELECT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND c.relnamespace = to_regnamespace('songswap')
  )
