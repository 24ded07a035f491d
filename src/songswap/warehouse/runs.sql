-- Runs and their steps.

-- name: start_run
-- A run that has ended starts again, at a time of its own; a running one is left as it is.
INSERT INTO songswap.runs AS r (run_id, started_at, held, alive_until)
VALUES (%(run_id)s, %(now)s, %(held)s, clock_timestamp() + %(lease)s)
ON CONFLICT (run_id) DO UPDATE SET
  state = 'running', started_at = EXCLUDED.started_at, held = EXCLUDED.held,
  alive_until = EXCLUDED.alive_until, ended_at = NULL, problem = NULL
WHERE r.state <> 'running'

-- name: count_users
-- Those who can be polled.
SELECT count(*) FROM "Users" u JOIN "SpotifyTokens" t ON t.id = u.id

-- name: plan_batches
-- Batches are ranges of user ids: two numbers, whatever their size. They run in the order of their numbers,
-- so those come first whose users were polled the longest ago, by the half of them, and a range that the
-- last run did not reach, for it was cut off. A planned run keeps its own.
INSERT INTO songswap.steps (run_id, step, number, first_user, last_user)
SELECT %(run_id)s, step, b.number, b.first_user, b.last_user
FROM (
  SELECT row_number() OVER (ORDER BY last_polled_at NULLS FIRST, first_user) - 1 AS number,
    first_user, last_user
  FROM (
    SELECT min(id) AS first_user, max(id) AS last_user,
      percentile_disc(0.5) WITHIN GROUP (ORDER BY polled_at) AS last_polled_at
    FROM (
      SELECT u.id, p.polled_at, (row_number() OVER (ORDER BY u.id) - 1) / %(size)s AS range
      FROM "Users" u JOIN "SpotifyTokens" t ON t.id = u.id
      LEFT JOIN songswap.polls p ON p.user_id = u.id AND p.polled_at <= %(now)s
    ) numbered
    GROUP BY range
  ) ranges
) b CROSS JOIN (VALUES ('fetch'), ('load')) steps (step)
WHERE NOT EXISTS (SELECT FROM songswap.steps WHERE run_id = %(run_id)s AND step = 'fetch')

-- name: plan_chosen
-- As many users as an hour serves, in place of `plan_batches`: those first who could have so many plays
-- before the next hour that Spotify drops the oldest, then those unpolled longest.
INSERT INTO songswap.steps (run_id, step, number, first_user, last_user, users)
SELECT %(run_id)s, step, b.number, b.first_user, b.last_user, b.users
FROM (
  SELECT number, min(user_id) AS first_user, max(user_id) AS last_user,
    array_agg(user_id ORDER BY place) AS users
  FROM (
    SELECT user_id, place, (place - 1) / %(size)s AS number
    FROM (
      SELECT user_id, row_number() OVER (
        ORDER BY CASE WHEN expected >= %(plays)s THEN expected END DESC NULLS LAST,
          polled_at NULLS FIRST, user_id
      ) AS place
      FROM (
        SELECT user_id, polled_at, plays_per_hour
          * extract(epoch FROM %(now)s + %(interval)s - answered_at) / 3600 AS expected
        FROM songswap.users_to_poll(%(now)s)
      ) users
    ) ranked
    WHERE place <= %(at_most)s
  ) numbered
  GROUP BY number
) b CROSS JOIN (VALUES ('fetch'), ('load')) steps (step)
WHERE NOT EXISTS (SELECT FROM songswap.steps WHERE run_id = %(run_id)s AND step = 'fetch')

-- name: plan_users
-- One batch of some users, in place of `plan_batches`.
INSERT INTO songswap.steps (run_id, step, number, first_user, last_user, users)
SELECT %(run_id)s, step, 0, %(first)s, %(last)s, %(users)s
FROM (VALUES ('fetch'), ('load')) steps (step)
ON CONFLICT DO NOTHING

-- name: plan_step
-- A step of the whole run, such as enrichment, which has no batches.
INSERT INTO songswap.steps (run_id, step) VALUES (%(run_id)s, %(step)s) ON CONFLICT DO NOTHING

-- name: record_plan
-- As a step of its own, whose counts say how many users the run found. A planned run keeps its batches,
-- and so what was counted with them.
INSERT INTO songswap.steps AS s (run_id, step, state, ended_at, counts)
VALUES (%(run_id)s, 'plan', 'done', %(now)s, %(counts)s)
ON CONFLICT (run_id, step, number) DO UPDATE SET
  ended_at = EXCLUDED.ended_at,
  counts = s.counts || jsonb_build_object('users', EXCLUDED.counts -> 'users')

-- name: users_found
-- How many users a run found, and how many the last run before it that found any.
SELECT (p.counts ->> 'users')::bigint, coalesce((
  SELECT (s.counts ->> 'users')::bigint
  FROM songswap.runs before
  JOIN songswap.steps s ON s.run_id = before.run_id AND s.step = 'plan'
  WHERE before.started_at < r.started_at AND (s.counts ->> 'users')::bigint > 0
  ORDER BY before.started_at DESC LIMIT 1
), 0)
FROM songswap.runs r
JOIN songswap.steps p ON p.run_id = r.run_id AND p.step = 'plan' AND p.counts ? 'users'
WHERE r.run_id = %(run_id)s

-- name: is_planned
-- A run of some users has batches, and no step 'plan'.
SELECT EXISTS (
  SELECT FROM songswap.steps WHERE run_id = %(run_id)s AND step IN ('plan', 'fetch')
)

-- name: batches
-- By the steps that fetch: each batch has one that loads, too.
SELECT number FROM songswap.steps WHERE run_id = %(run_id)s AND step = 'fetch' ORDER BY number

-- name: batch
-- The users of a batch.
SELECT first_user, last_user, users FROM songswap.steps
WHERE run_id = %(run_id)s AND step = 'fetch' AND number = %(number)s

-- name: record_step
-- Counts of a step add up over its parts and tries, but for its users, who are the same. A step that is done
-- stays so: a try that was cut off, and taken over by another host, may end after that one, and only then
-- record that it was stopped.
INSERT INTO songswap.steps AS s
  (run_id, step, number, state, counts, problem, kind, ended_at, outcomes)
VALUES (%(run_id)s, %(step)s, %(number)s, %(state)s, %(counts)s, %(problem)s, %(kind)s, %(now)s,
  %(outcomes)s)
ON CONFLICT (run_id, step, number) DO UPDATE SET
  (state, kind, problem, ended_at) = (
    SELECT t.state, t.kind, t.problem, t.ended_at
    FROM (VALUES
      (true, EXCLUDED.state, EXCLUDED.kind, EXCLUDED.problem, EXCLUDED.ended_at),
      (false, s.state, s.kind, s.problem, s.ended_at)
    ) t (is_new, state, kind, problem, ended_at)
    WHERE t.is_new = (%(ends)s AND (EXCLUDED.state = 'done' OR s.state <> 'done'))
  ),
  outcomes = CASE WHEN EXCLUDED.state <> 'done' AND s.state = 'done'
    THEN EXCLUDED.outcomes || s.outcomes ELSE s.outcomes || EXCLUDED.outcomes
  END,
  counts = (
    SELECT coalesce(jsonb_object_agg(name, total), '{}')
    FROM (
      SELECT name,
        CASE WHEN name IN ('users', 'paused') THEN max(value::bigint) ELSE sum(value::bigint) END
          AS total
      FROM (
        SELECT * FROM jsonb_each_text(s.counts)
        UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.counts)
      ) both_tries (name, value)
      GROUP BY name
    ) totals
  )

-- name: outcomes
-- A batch's steps hold the last outcome of each user; no user is in two batches.
SELECT outcome, count(DISTINCT user_id)
FROM songswap.steps, jsonb_each_text(outcomes) AS each (user_id, outcome)
WHERE run_id = %(run_id)s AND step = 'fetch'
GROUP BY outcome

-- name: totals
-- Without the users of the plan: the steps that poll them count them too.
SELECT name, sum(value::bigint)::bigint
FROM songswap.steps, jsonb_each_text(counts) AS each (name, value)
WHERE run_id = %(run_id)s AND (step <> 'plan' OR name <> 'users')
GROUP BY name ORDER BY name

-- name: unfinished
-- Steps that failed or never ended.
SELECT step, number, state, problem, kind FROM songswap.steps
WHERE run_id = %(run_id)s AND state <> 'done'
ORDER BY step, number

-- name: end_run
-- Inserts a run whose start could not be recorded, too.
INSERT INTO songswap.runs AS r (run_id, started_at, ended_at, state, counts, problem)
VALUES (%(run_id)s, %(now)s, %(now)s, %(state)s, %(counts)s, %(problem)s)
ON CONFLICT (run_id) DO UPDATE SET
  state = EXCLUDED.state, held = false, ended_at = EXCLUDED.ended_at, counts = EXCLUDED.counts,
  problem = EXCLUDED.problem
RETURNING extract(epoch FROM ended_at - started_at)::float

-- name: fail_running
-- Leaves a run alone that has ended by itself.
UPDATE songswap.runs
SET state = 'failed', held = false, ended_at = %(now)s, problem = %(problem)s
WHERE run_id = %(run_id)s AND state = 'running'

-- name: started_at
-- When a run that goes on began.
SELECT started_at FROM songswap.runs WHERE run_id = %(run_id)s AND state = 'running'

-- name: last_ended
-- Of the runs that poll everybody: what the runs in between load falls into their hours too.
SELECT max(started_at) FROM songswap.runs
WHERE state <> 'running' AND NOT starts_with(run_id, 'follow__')
