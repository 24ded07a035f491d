-- The rows of a user: counted and deleted. Plays and streams go in parts, all else at once.

-- name: count
-- By table, and rows of ours in which the user is named among others.
SELECT 'History', count(*) FROM "History" WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.streams', count(*) FROM songswap.streams WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.gaps', count(*) FROM songswap.gaps WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.rejected_items', count(*) FROM songswap.rejected_items
  WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.imports', count(*) FROM songswap.imports WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.polls', count(*) FROM songswap.polls WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.grants', count(*) FROM songswap.grants WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.tokens', count(*) FROM songswap.tokens WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.token_exchanges', count(*) FROM songswap.token_exchanges
  WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.cut_off_exchanges', count(*) FROM songswap.cut_off_exchanges
  WHERE user_id = %(user_id)s
UNION ALL SELECT 'songswap.disconnects', count(*) FROM songswap.disconnects
  WHERE user_id = %(user_id)s
UNION ALL SELECT 'SpotifyTokens', count(*) FROM "SpotifyTokens" WHERE id = %(user_id)s
UNION ALL SELECT 'Users', count(*) FROM "Users" WHERE id = %(user_id)s

-- name: delete_some_plays
-- The next ones by their time; nobody adds any. Returns the last time, and how many.
WITH part AS (
  SELECT max(played_at) AS last FROM (
    SELECT played_at FROM "History"
    WHERE user_id = %(user_id)s AND played_at > %(after)s::timestamp
    ORDER BY played_at LIMIT %(at_most)s
  ) first
), deleted AS (
  DELETE FROM "History" h USING part p
  WHERE h.user_id = %(user_id)s AND h.played_at > %(after)s::timestamp AND h.played_at <= p.last
  RETURNING 1
)
SELECT last::text, (SELECT count(*) FROM deleted) FROM part

-- name: delete_some_streams
-- Likewise.
WITH part AS (
  SELECT max(ended_at) AS last FROM (
    SELECT ended_at FROM songswap.streams
    WHERE user_id = %(user_id)s AND ended_at > %(after)s::timestamptz
    ORDER BY ended_at LIMIT %(at_most)s
  ) first
), deleted AS (
  DELETE FROM songswap.streams s USING part p
  WHERE s.user_id = %(user_id)s AND s.ended_at > %(after)s::timestamptz AND s.ended_at <= p.last
  RETURNING 1
)
SELECT last::text, (SELECT count(*) FROM deleted) FROM part

-- name: steps_naming
-- The steps whose batch was chosen for the user among others, and those that recorded an outcome. A step
-- that was never planned has no range.
SELECT run_id, step, number FROM songswap.steps
WHERE (first_user IS NULL OR %(user_id)s BETWEEN first_user AND last_user)
  AND (%(user_id)s = ANY (users) OR outcomes ? %(user_id)s::text)
ORDER BY run_id, step, number

-- name: leave_steps
-- By the keys of `steps_naming`.
UPDATE songswap.steps s SET
  users = array_remove(users, %(user_id)s), outcomes = outcomes - %(user_id)s::text
FROM unnest(%(run_ids)s::text[], %(steps)s::text[], %(numbers)s::integer[]) k (run_id, step, number)
WHERE (s.run_id, s.step, s.number) = (k.run_id, k.step, k.number)
  AND (%(user_id)s = ANY (users) OR outcomes ? %(user_id)s::text)

-- name: leave_problems_of_steps
-- Sentences that name the user, such as one on a damaged response.
UPDATE songswap.steps SET problem = regexp_replace(problem, pattern, '\1 (erased)', 'g')
FROM concat('\m([Uu]ser) ', %(user_id)s::integer, '\M') pattern
WHERE problem ~ pattern

-- name: leave_problems_of_runs
-- Likewise.
UPDATE songswap.runs SET problem = regexp_replace(problem, pattern, '\1 (erased)', 'g')
FROM concat('\m([Uu]ser) ', %(user_id)s::integer, '\M') pattern
WHERE problem ~ pattern

-- name: leave_problems_of_snapshots
-- Likewise, as the page showed them.
UPDATE songswap.snapshots SET facts = regexp_replace(facts::text, pattern, '\1 (erased)', 'g')::jsonb
FROM concat('\m([Uu]ser) ', %(user_id)s::integer, '\M') pattern
WHERE facts::text ~ pattern

-- name: leave_snapshots
-- The lists of users that the page showed. Older snapshots lack some of them.
UPDATE songswap.snapshots SET facts =
  jsonb_set(jsonb_set(jsonb_set(jsonb_set(facts,
    '{gaps,newest}', jsonb_path_query_array(facts, '$.gaps.newest[*] ? (@.user_id != $u)', u), false),
    '{imports}', jsonb_path_query_array(facts, '$.imports[*] ? (@.user_id != $u)', u), false),
    '{erasing,due}', jsonb_path_query_array(facts, '$.erasing.due[*] ? (@.user_id != $u)', u), false),
    '{erasing,open}', jsonb_path_query_array(facts, '$.erasing.open[*] ? (@.user_id != $u)', u), false)
FROM jsonb_build_object('u', %(user_id)s::integer) u
WHERE jsonb_path_exists(facts, '$.**.user_id ? (@ == $u)', u)

-- name: check_at_once
-- Also the foreign keys of the web app's own tables that it checks at the end of a transaction.
SET CONSTRAINTS ALL IMMEDIATE

-- name: delete_plays
-- Those that are left.
DELETE FROM "History" WHERE user_id = %(user_id)s

-- name: delete_streams
-- Those that are left.
DELETE FROM songswap.streams WHERE user_id = %(user_id)s

-- name: delete_gaps
-- Of any time.
DELETE FROM songswap.gaps WHERE user_id = %(user_id)s

-- name: delete_rejected_items
-- With the keys of raw responses.
DELETE FROM songswap.rejected_items WHERE user_id = %(user_id)s

-- name: delete_imports
-- With the keys of raw exports.
DELETE FROM songswap.imports WHERE user_id = %(user_id)s

-- name: delete_polls
-- What the last poll brought.
DELETE FROM songswap.polls WHERE user_id = %(user_id)s

-- name: delete_grants
-- The digest that a new authorization is compared with is in songswap.erasures.
DELETE FROM songswap.grants WHERE user_id = %(user_id)s

-- name: delete_tokens
-- The pipeline's copy.
DELETE FROM songswap.tokens WHERE user_id = %(user_id)s

-- name: delete_token_exchanges
-- Their holder finds no claim, and stores nothing.
DELETE FROM songswap.token_exchanges WHERE user_id = %(user_id)s

-- name: delete_cut_off_exchanges
-- Nobody waits for their successors.
DELETE FROM songswap.cut_off_exchanges WHERE user_id = %(user_id)s

-- name: delete_disconnects
-- What had to be erased is.
DELETE FROM songswap.disconnects WHERE user_id = %(user_id)s

-- name: delete_platform_tokens
-- The sign-in's.
DELETE FROM "SpotifyTokens" WHERE id = %(user_id)s

-- name: delete_user
-- Rows of the web app's own tables go with it where their foreign keys say so.
DELETE FROM "Users" WHERE id = %(user_id)s
