-- The budget of requests of an app.

-- name: lock_and_grow
-- Locks the budget until the end of the transaction. After a window without a refusal the limit grows: by
-- a hundredth for as long as Spotify's own is near, and by a twentieth once it must have grown. A day's
-- limit grows as `songswap.limit_of_day` says.
INSERT INTO songswap.budgets AS b (app) VALUES (%(app)s)
ON CONFLICT (app) DO UPDATE SET
  per_window = CASE
    WHEN b.window_changed_at + %(window)s > clock_timestamp() THEN b.per_window
    WHEN b.per_window < 100000 THEN ceil(b.per_window
      * CASE WHEN b.window_learned_at + 10 * %(window)s > clock_timestamp() THEN 1.01 ELSE 1.05 END)
  END,
  window_changed_at = CASE
    WHEN b.window_changed_at + %(window)s > clock_timestamp() THEN b.window_changed_at
    ELSE clock_timestamp()
  END
RETURNING per_window, songswap.limit_of_day(per_day, day_learned_at, %(now)s),
  greatest(extract(epoch FROM closed_until - clock_timestamp()), 0)::float

-- name: used
-- The oldest second leaves the window little by little.
SELECT
  coalesce(ceil(sum(requests * least(1, extract(epoch FROM at + interval '1 second' + %(window)s
    - clock_timestamp()))) FILTER (WHERE span = 'second')), 0)::integer,
  coalesce(sum(requests) FILTER (WHERE span = 'hour'), 0),
  coalesce(sum(requests) FILTER (WHERE span = 'hour' AND priority = %(priority)s), 0)
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
-- The limit is a twenty-fifth less than the requests of the last window, by the first refusal in a window.
-- A refusal after few requests has another reason than their number.
UPDATE songswap.budgets b SET
  closed_until = greatest(b.closed_until, clock_timestamp() + %(wait)s),
  window_changed_at = clock_timestamp(),
  per_window = CASE
    WHEN l.learned THEN least(b.per_window, ceil(0.96 * l.taken))
    ELSE b.per_window
  END,
  window_learned_at = CASE WHEN l.learned THEN clock_timestamp() ELSE b.window_learned_at END
FROM (
  SELECT taken, taken >= %(few)s
    AND (o.window_learned_at + %(window)s > clock_timestamp()) IS NOT TRUE AS learned
  FROM songswap.budgets o CROSS JOIN (
    SELECT coalesce(sum(requests * least(1, extract(epoch FROM at + interval '1 second' + %(window)s
      - clock_timestamp()))), 0) - %(unspent)s AS taken
    FROM songswap.requests
    WHERE app = %(app)s AND span = 'second' AND at > clock_timestamp() - %(window)s - interval '1 second'
  ) t WHERE o.app = %(app)s
) l
WHERE b.app = %(app)s

-- name: learn_day
-- The limit is the number of requests in the last 24 hours, by the first refusal in an hour. But others may
-- have used it up, whom nobody counts here: another app of the account, or whoever sent requests before a
-- deployment or a restore. It grows again only in weeks, so a refusal halves at most what was known, or what
-- a poll of each user each hour takes. A first limit is the true number, if a whole day was counted.
UPDATE songswap.budgets b SET
  per_day = greatest(t.taken, %(few)s, CASE
    WHEN t.known IS NOT NULL OR t.taken < %(few)s OR NOT t.is_counted
    THEN least(t.known, t.polls) / 2
  END),
  day_learned_at = %(now)s
FROM (
  SELECT coalesce(sum(requests), 0) - %(unspent)s AS taken,
    coalesce(min(at) <= %(now)s - interval '23 hours', false) AS is_counted,
    (SELECT songswap.limit_of_day(per_day, day_learned_at, %(now)s) FROM songswap.budgets
      WHERE app = %(app)s) AS known,
    (SELECT 24 * count(*) FROM "SpotifyTokens") AS polls
  FROM songswap.requests
  WHERE app = %(app)s AND span = 'hour' AND at > %(now)s - interval '1 day' AND at <= %(now)s
) t
WHERE b.app = %(app)s
  AND (b.day_learned_at > %(now)s - interval '1 hour'
    AND b.day_learned_at <= %(now)s + interval '2 minutes') IS NOT TRUE
