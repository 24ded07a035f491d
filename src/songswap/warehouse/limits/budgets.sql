-- The budget of requests of an app.

-- name: lock_and_grow
-- Locks the budget until the end of the transaction. After a window without a refusal the limit grows by a
-- twentieth; a day's limit grows as `songswap.limit_of_day` says.
INSERT INTO songswap.budgets AS b (app) VALUES (%(app)s)
ON CONFLICT (app) DO UPDATE SET
  per_window = CASE
    WHEN b.window_changed_at + %(window)s > clock_timestamp() THEN b.per_window
    WHEN b.per_window < 100000 THEN ceil(1.05 * b.per_window)
  END,
  window_changed_at = CASE
    WHEN b.window_changed_at + %(window)s > clock_timestamp() THEN b.window_changed_at
    ELSE clock_timestamp()
  END
RETURNING per_window, songswap.limit_of_day(per_day, day_learned_at, %(now)s),
  greatest(extract(epoch FROM closed_until - clock_timestamp()), 0)::float

-- name: used
-- A second counts until all of it has left the window.
SELECT
  coalesce(sum(requests) FILTER (WHERE span = 'second'), 0),
  coalesce(sum(requests) FILTER (WHERE span = 'hour'), 0),
  coalesce(sum(requests) FILTER (WHERE span = 'hour' AND priority = %(priority)s), 0),
  coalesce(extract(epoch FROM min(at) FILTER (WHERE span = 'second')
    + interval '1 second' + %(window)s - clock_timestamp()), 0)::float
FROM songswap.requests
WHERE app = %(app)s AND (
  span = 'second' AND at > clock_timestamp() - %(window)s - interval '1 second'
  OR span = 'hour' AND at > %(now)s - interval '1 day' AND at <= %(now)s)

-- name: count
-- By the server's second for the window, and by our hour for the day. Deletes counts that no window or day
-- has any more.
WITH old AS (
  DELETE FROM songswap.requests
  WHERE app = %(app)s AND (
    span = 'second' AND at < clock_timestamp() - %(window)s - interval '1 minute'
    OR span = 'hour' AND at < %(now)s - interval '2 days')
)
INSERT INTO songswap.requests AS r (app, span, at, priority, requests) VALUES
  (%(app)s, 'second', date_trunc('second', clock_timestamp()), %(priority)s, %(granted)s),
  (%(app)s, 'hour', date_trunc('hour', %(now)s::timestamptz), %(priority)s, %(granted)s - %(unspent)s)
ON CONFLICT (app, span, at, priority) DO UPDATE SET requests = r.requests + EXCLUDED.requests

-- name: learn_window
-- The limit is a tenth less than the requests of the last window, by the first refusal in a window. A
-- refusal after few requests has another reason than their number.
UPDATE songswap.budgets b SET
  closed_until = greatest(b.closed_until, clock_timestamp() + %(wait)s),
  window_changed_at = clock_timestamp(),
  per_window = CASE
    WHEN l.learned THEN least(b.per_window, ceil(0.9 * l.taken))
    ELSE b.per_window
  END,
  window_learned_at = CASE WHEN l.learned THEN clock_timestamp() ELSE b.window_learned_at END
FROM (
  SELECT taken, taken >= %(few)s
    AND (o.window_learned_at + %(window)s > clock_timestamp()) IS NOT TRUE AS learned
  FROM songswap.budgets o CROSS JOIN (
    SELECT coalesce(sum(requests), 0) - %(unspent)s AS taken FROM songswap.requests
    WHERE app = %(app)s AND span = 'second' AND at > clock_timestamp() - %(window)s
  ) t WHERE o.app = %(app)s
) l
WHERE b.app = %(app)s

-- name: learn_day
-- The limit is the number of requests in the last 24 hours.
UPDATE songswap.budgets b SET
  per_day = greatest(t.taken, %(few)s), day_learned_at = %(now)s
FROM (
  SELECT coalesce(sum(requests), 0) - %(unspent)s AS taken FROM songswap.requests
  WHERE app = %(app)s AND span = 'hour' AND at > %(now)s - interval '1 day' AND at <= %(now)s
) t
WHERE b.app = %(app)s
