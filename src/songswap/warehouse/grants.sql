-- Grants: the web app writes "SpotifyTokens" when a user authorizes, the pipeline when it refreshes. A row
-- of songswap.grants is about the token with its digest, and no other.

-- name: load_credentials
-- First the users whose refresh token was sent without an outcome. Their access token counts as expired,
-- so that it is refreshed at once: Spotify may give the successor of that token for some more minutes.
SELECT u.id, c.access_token, CASE WHEN e.user_id IS NULL THEN c.expires_at ELSE %(now)s END,
  p.fingerprint,
  (g.refresh_digest = c.platform_digest
    AND (g.state IN ('revoked', 'lost') OR g.state = 'forbidden' AND g.refused_in IS NULL)
    AND coalesce(g.ask_again_at, 'infinity') > %(now)s) IS TRUE,
  (g.state = 'active' AND g.forbidden_runs = 0) IS TRUE
FROM "Users" u
JOIN songswap.current_tokens() c ON c.user_id = u.id
LEFT JOIN songswap.grants g ON g.user_id = u.id
LEFT JOIN songswap.polls p ON p.user_id = u.id
LEFT JOIN songswap.token_exchanges e
  ON e.user_id = u.id AND e.refresh_digest = sha256(c.refresh_token)
CROSS JOIN LATERAL (
  SELECT p.plays_per_hour
    * extract(epoch FROM %(now)s::timestamptz + interval '1 hour' - p.answered_at) / 3600
) s (expected)
WHERE u.id BETWEEN %(first)s AND %(last)s
  AND (%(only)s::integer[] IS NULL OR u.id = ANY (%(only)s))
ORDER BY e.user_id, CASE WHEN s.expected >= %(plays)s THEN s.expected END DESC NULLS LAST,
  CASE WHEN p.polled_at <= %(now)s THEN p.polled_at END NULLS FIRST, u.id

-- name: record_authorized
-- Tokens without a row here are an authorization, but not those of erased users. Their rows are locked, so that nobody refreshes them
-- before they are recorded; a row that is locked already waits for the next run.
INSERT INTO songswap.grants (user_id, refresh_digest, authorized_at)
SELECT t.id, sha256(convert_to(t.refresh_token, 'UTF8')), %(now)s
FROM "SpotifyTokens" t LEFT JOIN songswap.grants g ON g.user_id = t.id
WHERE t.refresh_token IS NOT NULL
  AND g.refresh_digest IS DISTINCT FROM sha256(convert_to(t.refresh_token, 'UTF8'))
  AND NOT EXISTS (
    SELECT FROM songswap.erasures e WHERE e.user_id = t.id AND e.renewed_at IS NULL
  )
ORDER BY t.id
FOR UPDATE OF t SKIP LOCKED
ON CONFLICT (user_id) DO UPDATE SET
  state = 'active', refresh_digest = EXCLUDED.refresh_digest,
  authorized_at = EXCLUDED.authorized_at, warned_days = NULL, refreshed_at = NULL,
  ask_again_at = NULL, refused_in = NULL, problem = NULL, refusals = 0, forbidden_runs = 0,
  unanswered_at = NULL, refused_at = NULL
WHERE grants.refresh_digest IS DISTINCT FROM EXCLUDED.refresh_digest

-- name: record_refused
-- Tokens of a user who authorizes again meanwhile are tried by the next run.
UPDATE songswap.grants g SET
  state = 'refused', ask_again_at = NULL, refused_in = %(run_id)s,
  unanswered_at = coalesce(n.unanswered_at, g.unanswered_at)
FROM unnest(%(users)s::integer[], %(unanswered_at)s::timestamptz[]) n (user_id, unanswered_at)
WHERE g.user_id = n.user_id

-- name: record_forbidden
-- Until `settle_forbidden` at the end of the run.
UPDATE songswap.grants SET state = 'forbidden', ask_again_at = NULL, refused_in = %(run_id)s
WHERE user_id = ANY (%(users)s)

-- name: record_recovered
-- A response proves that the grant is good, whatever happened before.
UPDATE songswap.grants SET
  state = 'active', ask_again_at = NULL, refused_in = NULL, problem = NULL, refusals = 0,
  forbidden_runs = 0, refused_at = NULL
WHERE user_id = ANY (%(users)s) AND (state <> 'active' OR forbidden_runs > 0)

-- name: count_refused
-- Without grants near their end: Spotify's six months may be some days shorter than ours. Without grants
-- that were dead before, and are tried once more. And without those whose token another host may have.
SELECT count(*)
FROM songswap.grants g JOIN songswap.grant_states(%(now)s) s ON s.user_id = g.user_id
WHERE g.state = 'refused' AND g.refused_in = %(run_id)s AND g.refusals = 0
  AND (s.ends_at - %(now)s <= interval '3 days') IS NOT TRUE
  AND g.user_id NOT IN (SELECT user_id FROM songswap.possibly_spooled())

-- name: settle_refused
-- A dead grant is tried again three times: first after half an hour, because this run may have taken
-- long, and the next hourly run is to try it. A run of some users only, which has no step 'plan', cannot
-- recognize an incident: it leaves the decision to the hourly run. And while a host may have the token's
-- successor, there is none.
UPDATE songswap.grants g
SET state = CASE
    WHEN NOT r.dead THEN 'active'
    WHEN g.unanswered_at IS NULL OR r.over THEN 'revoked'
    ELSE 'lost'
  END,
  problem = CASE
    WHEN NOT r.dead THEN NULL
    WHEN g.unanswered_at IS NULL OR r.over THEN 'invalid_grant: the user has to authorize'
    ELSE 'lost in a crash, or on the way, at '
      || to_char(g.unanswered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
      || ' UTC: the user has to authorize'
  END,
  refusals = g.refusals + r.dead::integer,
  refused_at = CASE WHEN r.dead THEN coalesce(g.refused_at, %(now)s) ELSE g.refused_at END,
  ask_again_at = CASE WHEN r.dead AND NOT r.over THEN %(now)s + CASE g.refusals
    WHEN 0 THEN interval '30 minutes'
    WHEN 1 THEN interval '1 day'
    WHEN 2 THEN interval '2 days'
  END END
FROM (
  SELECT user_id, over, over OR NOT %(incident)s AND NOT EXISTS (
    SELECT FROM songswap.steps WHERE run_id = %(run_id)s
    HAVING bool_or(users IS NOT NULL) AND NOT bool_or(step = 'plan')
  ) AND user_id NOT IN (SELECT user_id FROM songswap.possibly_spooled()) AS dead
  FROM (
    SELECT user_id, (ends_at - %(now)s <= interval '3 days') IS TRUE AS over
    FROM songswap.grant_states(%(now)s)
  ) ends
) r
WHERE r.user_id = g.user_id AND g.state = 'refused' AND g.refused_in = %(run_id)s

-- name: count_lost
-- Grants that this run settled.
SELECT count(*) FROM songswap.grants WHERE state = 'lost' AND refused_in = %(run_id)s

-- name: count_forbidden
-- Without users who have paused before.
SELECT count(*) FROM songswap.grants
WHERE state = 'forbidden' AND refused_in = %(run_id)s AND forbidden_runs < 2

-- name: settle_forbidden
-- In an incident, and in a run of some users only, a grant stays as it was before the run.
UPDATE songswap.grants g SET
  state = CASE WHEN r.runs = 0 THEN 'active' ELSE 'forbidden' END,
  refused_in = NULL,
  forbidden_runs = r.runs,
  problem = CASE WHEN r.runs > 0
    THEN '403: not on the app''s allow-list, or not allowed to the app' END,
  ask_again_at = CASE WHEN r.runs > 0 THEN %(now)s + CASE
    WHEN r.runs < 2 OR r.undecided THEN interval '0'
    WHEN r.runs = 2 THEN interval '6 hours'
    WHEN r.runs = 3 THEN interval '1 day'
    ELSE interval '7 days'
  END END
FROM (
  SELECT user_id, forbidden_runs + CASE WHEN undecided THEN 0 ELSE 1 END AS runs, undecided
  FROM songswap.grants CROSS JOIN (
    SELECT %(incident)s OR EXISTS (
      SELECT FROM songswap.steps WHERE run_id = %(run_id)s
      HAVING bool_or(users IS NOT NULL) AND NOT bool_or(step = 'plan')
    ) AS undecided
  ) u
) r
WHERE r.user_id = g.user_id AND g.state = 'forbidden' AND g.refused_in = %(run_id)s
