-- Snapshots of what an operator sees, and plays by the hour.

-- name: write
-- Two at one moment are those of a repeated task.
INSERT INTO songswap.snapshots (taken_at, run_id, facts) VALUES (%(taken_at)s, %(run_id)s, %(facts)s)
ON CONFLICT (taken_at) DO UPDATE SET run_id = EXCLUDED.run_id, facts = EXCLUDED.facts

-- name: latest
-- One from the future comes of a wrong clock, and would hide all that follow.
SELECT taken_at, run_id, facts FROM songswap.snapshots
WHERE taken_at <= %(now)s::timestamptz + interval '2 minutes'
ORDER BY taken_at DESC LIMIT 1

-- name: count_plays_by_user
-- User by user through the key of "History": OFFSET keeps PostgreSQL from a join that would read all plays.
-- An hour without plays gets 0. Without user 0, who belongs to the test DAGs.
INSERT INTO songswap.plays_by_hour (hour, plays)
SELECT s.hour, coalesce(c.plays, 0)
FROM generate_series(
  date_trunc('hour', %(since)s::timestamptz), %(now)s::timestamptz, interval '1 hour'
) s (hour)
LEFT JOIN (
  SELECT date_trunc('hour', h.played_at) AS hour, count(*) AS plays
  FROM "Users" u CROSS JOIN LATERAL (
    SELECT played_at FROM "History"
    WHERE user_id = u.id
      AND played_at >= date_trunc('hour', %(since)s::timestamptz AT TIME ZONE 'UTC')
      AND played_at <= %(now)s::timestamptz AT TIME ZONE 'UTC'
    OFFSET 0
  ) h
  WHERE u.id <> 0
  GROUP BY 1
) c ON c.hour = s.hour AT TIME ZONE 'UTC'
ORDER BY s.hour
ON CONFLICT (hour) DO UPDATE SET plays = EXCLUDED.plays

-- name: count_plays_by_time
-- The same where no index begins with the user, as with a key of the web app's own order.
INSERT INTO songswap.plays_by_hour (hour, plays)
SELECT s.hour, coalesce(c.plays, 0)
FROM generate_series(
  date_trunc('hour', %(since)s::timestamptz), %(now)s::timestamptz, interval '1 hour'
) s (hour)
LEFT JOIN (
  SELECT date_trunc('hour', played_at) AS hour, count(*) AS plays FROM "History"
  WHERE user_id <> 0
    AND played_at >= date_trunc('hour', %(since)s::timestamptz AT TIME ZONE 'UTC')
    AND played_at <= %(now)s::timestamptz AT TIME ZONE 'UTC'
  GROUP BY 1
) c ON c.hour = s.hour AT TIME ZONE 'UTC'
ORDER BY s.hour
ON CONFLICT (hour) DO UPDATE SET plays = EXCLUDED.plays

-- name: plays_by_hour
-- Hours that were never counted have no row.
SELECT hour, plays FROM songswap.plays_by_hour
WHERE hour > %(now)s::timestamptz - %(age)s AND hour <= %(now)s::timestamptz
ORDER BY hour
