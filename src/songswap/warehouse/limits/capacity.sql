-- How many users an app's limits serve.

-- name: learned
-- The limits, what of them was used in the last day, and the requests and polls of the last hours' runs,
-- without 401s: a user's first poll has one, the others none.
SELECT b.per_window, b.per_day, r.polls_by_hour, r.in_day, t.calls, t.polled
FROM (
  SELECT min(per_window) AS per_window,
    min(songswap.limit_of_day(per_day, day_learned_at, %(now)s)) AS per_day
  FROM songswap.budgets WHERE app = coalesce(%(app)s, app)
) b CROSS JOIN (
  SELECT array_agg(polls ORDER BY at) AS polls_by_hour, sum(requests)::bigint AS in_day
  FROM (
    SELECT h.at, coalesce(sum(r.requests) FILTER (WHERE r.priority = 0), 0)::bigint AS polls,
      coalesce(sum(r.requests), 0) AS requests
    FROM generate_series(0, 23) ago
    CROSS JOIN LATERAL (
      SELECT date_trunc('hour', %(now)s::timestamptz) - ago * interval '1 hour' AS at
    ) h
    LEFT JOIN songswap.requests r
      ON r.span = 'hour' AND r.at = h.at AND r.app = coalesce(%(app)s, r.app)
    GROUP BY h.at
  ) hours
) r CROSS JOIN (
  SELECT coalesce(sum(c.value::bigint) FILTER (WHERE starts_with(c.key, 'calls recently-played ')
      AND c.key <> 'calls recently-played 401'), 0)::bigint
      AS calls,
    coalesce(sum(c.value::bigint) FILTER (WHERE c.key = 'polled'), 0)::bigint AS polled
  FROM songswap.runs, jsonb_each_text(counts) c
  WHERE started_at > %(now)s - %(remembered)s * interval '1 hour'
) t
