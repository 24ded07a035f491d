-- States of grants, as the function songswap.grant_states derives them.

-- name: count
-- By state.
SELECT state, count(*) FROM songswap.grant_states(%(now)s) GROUP BY state

-- name: list
-- With the times that an operator needs.
SELECT s.user_id, u.username, s.state, s.authorized_at, s.ends_at, s.refreshed_at, s.problem,
  g.ask_again_at
FROM songswap.grant_states(%(now)s) s JOIN "Users" u ON u.id = s.user_id
LEFT JOIN songswap.grants g ON g.user_id = s.user_id
WHERE s.state = ANY (%(states)s)
ORDER BY s.ends_at, s.user_id

-- name: warn
-- Each grant once at each distance from its end.
WITH warned AS (
  UPDATE songswap.grants g SET warned_days = s.days
  FROM (
    SELECT user_id, CASE
        WHEN ends_at - %(now)s <= interval '1 day' THEN 1
        WHEN ends_at - %(now)s <= interval '7 days' THEN 7
        ELSE 30
      END AS days
    FROM songswap.grant_states(%(now)s) WHERE state = 'expiring'
  ) s
  WHERE g.user_id = s.user_id AND (g.warned_days <= s.days) IS NOT TRUE
  RETURNING g.warned_days
)
SELECT warned_days, count(*) FROM warned GROUP BY warned_days ORDER BY warned_days DESC
