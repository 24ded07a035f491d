-- Runs and their steps.

-- name: start_run
-- One that has ended is an attempt more, with a time of its own; one that goes on is left as it is.
INSERT INTO songswap.runs AS r (run_id, started_at, held, alive_until)
VALUES (%(run_id)s, %(now)s, %(held)s, clock_timestamp() + %(lease)s)
ON CONFLICT (run_id) DO UPDATE SET
  state = 'running', started_at = EXCLUDED.started_at, held = EXCLUDED.held,
  alive_until = EXCLUDED.alive_until, ended_at = NULL, problem = NULL
WHERE r.state <> 'running'

-- name: renew
-- By the server's clock, which is the same for all who work on a run.
UPDATE songswap.runs SET alive_until = clock_timestamp() + %(lease)s
WHERE run_id = %(run_id)s AND state = 'running'

-- name: close_dead
-- A run that is done in steps may wait between them: its own next step does not take it for dead.
UPDATE songswap.runs r
SET state = 'died', held = false, ended_at = d.last_sign, problem = %(problem)s
FROM songswap.dead_runs(%(now)s) d
WHERE r.run_id = d.run_id AND (r.held OR r.run_id IS DISTINCT FROM %(run_id)s)

-- name: plan_batches
-- The batches are cut along the users' ids, so that a batch is two numbers whatever its size.
INSERT INTO songswap.steps (run_id, step, number, first_user, last_user)
SELECT %(run_id)s, step, b.number, b.first_user, b.last_user
FROM (
  SELECT number, min(id) AS first_user, max(id) AS last_user
  FROM (
    SELECT u.id, (row_number() OVER (ORDER BY u.id) - 1) / %(size)s AS number
    FROM "Users" u JOIN "SpotifyTokens" t ON t.id = u.id
  ) numbered
  GROUP BY number
) b CROSS JOIN (VALUES ('fetch'), ('load')) steps (step)
WHERE NOT EXISTS (SELECT FROM songswap.steps WHERE run_id = %(run_id)s AND step = 'fetch')

-- name: at_risk
-- Who could have played enough since the last answer that the oldest play is forgotten before the
-- next look, which is after %(interval)s. An answer in the future was noted by a clock that is wrong:
-- it counts as the hourly load's.
SELECT user_id FROM songswap.polls
WHERE plays_per_hour * extract(epoch FROM %(now)s + %(interval)s - CASE
  WHEN answered_at > %(now)s THEN %(now)s - interval '1 hour' ELSE answered_at
END) / 3600 >= %(plays)s

-- name: plan_users
INSERT INTO songswap.steps (run_id, step, number, first_user, last_user, users)
SELECT %(run_id)s, step, 0, %(first)s, %(last)s, %(users)s
FROM (VALUES ('fetch'), ('load')) steps (step)
ON CONFLICT DO NOTHING

-- name: count_users
SELECT count(*) FROM "Users" u JOIN "SpotifyTokens" t ON t.id = u.id

-- name: plan_step
INSERT INTO songswap.steps (run_id, step) VALUES (%(run_id)s, %(step)s) ON CONFLICT DO NOTHING

-- name: planned
-- A run of the version before has no such step, but batches.
INSERT INTO songswap.steps AS s (run_id, step, state, ended_at, counts)
VALUES (%(run_id)s, 'plan', 'done', %(now)s, jsonb_build_object('users', %(users)s::bigint))
ON CONFLICT (run_id, step, number) DO UPDATE SET
  ended_at = EXCLUDED.ended_at, counts = EXCLUDED.counts

-- name: users_found
-- How many a run found, and how many the last one before it that found any.
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
SELECT EXISTS (
  SELECT FROM songswap.steps WHERE run_id = %(run_id)s AND step IN ('plan', 'fetch')
)

-- name: batches
SELECT number FROM songswap.steps WHERE run_id = %(run_id)s AND step = 'fetch' ORDER BY number

-- name: batch
SELECT first_user, last_user, users FROM songswap.steps
WHERE run_id = %(run_id)s AND step = 'fetch' AND number = %(number)s

-- name: end_step
-- A step that is tried again adds to what its earlier tries counted, but its users are the same.
INSERT INTO songswap.steps AS s
  (run_id, step, number, state, counts, problem, kind, ended_at, outcomes)
VALUES (%(run_id)s, %(step)s, %(number)s, %(state)s, %(counts)s, %(problem)s, %(kind)s, %(now)s,
  %(outcomes)s)
ON CONFLICT (run_id, step, number) DO UPDATE SET
  state = EXCLUDED.state, kind = EXCLUDED.kind, problem = EXCLUDED.problem, ended_at = EXCLUDED.ended_at,
  outcomes = s.outcomes || EXCLUDED.outcomes,
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

-- name: totals
-- The users that the plan found are those of the steps that ask for them.
SELECT name, sum(value::bigint)::bigint
FROM songswap.steps, jsonb_each_text(counts) AS each (name, value)
WHERE run_id = %(run_id)s AND step <> 'plan'
GROUP BY name ORDER BY name

-- name: outcomes
SELECT outcome, count(DISTINCT user_id)
FROM songswap.steps, jsonb_each_text(outcomes) AS each (user_id, outcome)
WHERE run_id = %(run_id)s AND step = 'fetch'
GROUP BY outcome

-- name: unfinished
SELECT step, number, state, problem, kind FROM songswap.steps
WHERE run_id = %(run_id)s AND state <> 'done'
ORDER BY step, number

-- name: end_run
-- Also one that could not even be noted when it began.
INSERT INTO songswap.runs AS r (run_id, started_at, ended_at, state, counts, problem)
VALUES (%(run_id)s, %(now)s, %(now)s, %(state)s, %(counts)s, %(problem)s)
ON CONFLICT (run_id) DO UPDATE SET
  state = EXCLUDED.state, held = false, ended_at = EXCLUDED.ended_at, counts = EXCLUDED.counts,
  problem = EXCLUDED.problem
RETURNING extract(epoch FROM ended_at - started_at)::float

-- name: last_ended
-- Of those that ask everybody: what others loaded is in their hours too.
SELECT max(started_at) FROM songswap.runs
WHERE state <> 'running' AND NOT starts_with(run_id, 'follow__')

-- name: end_early
UPDATE songswap.runs
SET state = 'failed', held = false, ended_at = %(now)s, problem = %(problem)s
WHERE run_id = %(run_id)s AND state = 'running'

-- name: going_on
-- Whatever holds it: one that is older than another that has ended keeps nobody waiting.
SELECT EXISTS (
  SELECT FROM songswap.runs r
  WHERE r.state = 'running' AND r.started_at > %(since)s AND NOT songswap.is_overtaken(r)
)

-- name: record_polls
-- Users whose answer told nothing new, or who could not be asked for.
INSERT INTO songswap.polls AS p (user_id, polled_at, answered_at, problem)
SELECT u.id, %(now)s, CASE WHEN t.problem IS NULL THEN %(now)s END, t.problem
FROM unnest(%(users)s::integer[], %(problems)s::text[]) AS t (user_id, problem)
JOIN "Users" u ON u.id = t.user_id
ORDER BY u.id
ON CONFLICT (user_id) DO UPDATE SET
  polled_at = greatest(p.polled_at, EXCLUDED.polled_at),
  answered_at = coalesce(EXCLUDED.answered_at, p.answered_at),
  problem = EXCLUDED.problem,
  plays_per_hour = CASE WHEN EXCLUDED.answered_at IS NULL THEN p.plays_per_hour ELSE %(decay)s * p.plays_per_hour END
