-- Polls of users.

-- name: at_risk
-- Users who could play so much before the next poll, after `interval`, that Spotify drops their oldest
-- play. A response in the future comes of a wrong clock, and counts as one of an hour ago.
SELECT user_id FROM songswap.polls
WHERE plays_per_hour * extract(epoch FROM %(now)s + %(interval)s - CASE
  WHEN answered_at > %(now)s THEN %(now)s - interval '1 hour' ELSE answered_at
END) / 3600 >= %(plays)s

-- name: count
-- Those who can be polled, those of them who could play so much in `interval`, as in `at_risk`, and the
-- oldest of their last responses.
SELECT count(*), count(*) FILTER (WHERE plays_per_hour
  * extract(epoch FROM %(now)s + %(interval)s - answered_at) / 3600 >= %(plays)s),
  min(waits_since)
FROM songswap.users_to_poll(%(now)s)

-- name: oldest
-- The user without a response for the longest time.
SELECT u.user_id, n.username, u.waits_since
FROM songswap.users_to_poll(%(now)s) u JOIN "Users" n ON n.id = u.user_id
WHERE u.waits_since <= %(now)s
ORDER BY u.waits_since, u.user_id LIMIT 1

-- name: record_polls
-- Polls that failed, or whose response held nothing new.
INSERT INTO songswap.polls AS p (user_id, polled_at, answered_at, problem)
SELECT u.id, %(now)s, CASE WHEN t.problem IS NULL THEN %(now)s END, t.problem
FROM unnest(%(users)s::integer[], %(problems)s::text[]) AS t (user_id, problem)
JOIN "Users" u ON u.id = t.user_id
ORDER BY u.id
ON CONFLICT (user_id) DO UPDATE SET
  polled_at = greatest(p.polled_at, EXCLUDED.polled_at),
  answered_at = coalesce(EXCLUDED.answered_at, p.answered_at),
  problem = EXCLUDED.problem,
  plays_per_hour = CASE
    WHEN EXCLUDED.answered_at IS NULL THEN p.plays_per_hour
    ELSE %(decay)s * p.plays_per_hour
  END
