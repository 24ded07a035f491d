-- Current tokens and exchanges under way, the outcome of each user in a run, and what was told when.

CREATE TABLE songswap.tokens (
  user_id integer PRIMARY KEY REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  access_token bytea NOT NULL,
  refresh_token bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  platform_digest bytea NOT NULL,
  stored_at timestamptz NOT NULL,
  problem text
);
COMMENT ON TABLE songswap.tokens IS
  'The tokens that Spotify gave a user last, as UTF-8 of any length.';
COMMENT ON COLUMN songswap.tokens.platform_digest IS
  'SHA-256 of the refresh token that "SpotifyTokens" had when these were stored. Another one there was
written by the web app later, and takes their place.';
COMMENT ON COLUMN songswap.tokens.problem IS
  'Why "SpotifyTokens" does not hold them too; NULL where it does.';

-- In quotes, so that columns of "SpotifyTokens" can be widened: a view would forbid it.
CREATE FUNCTION songswap.current_tokens()
RETURNS TABLE (
  user_id integer, access_token bytea, refresh_token bytea, expires_at timestamptz,
  platform_digest bytea
)
LANGUAGE sql STABLE AS $$
  SELECT t.id, coalesce(k.access_token, convert_to(t.access_token, 'UTF8')),
    coalesce(k.refresh_token, convert_to(t.refresh_token, 'UTF8')), k.expires_at,
    sha256(convert_to(t.refresh_token, 'UTF8'))
  FROM "SpotifyTokens" t
  LEFT JOIN songswap.tokens k ON k.user_id = t.id
    AND k.platform_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
$$;
COMMENT ON FUNCTION songswap.current_tokens IS
  'The tokens to ask with: what Spotify gave last, or what the web app wrote after that. expires_at is
NULL where it is not known.';

CREATE TABLE songswap.token_exchanges (
  user_id integer PRIMARY KEY REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  refresh_digest bytea NOT NULL,
  begun_at timestamptz NOT NULL,
  holder bigint NOT NULL,
  claimed_until timestamptz NOT NULL
);
COMMENT ON TABLE songswap.token_exchanges IS
  'Refresh tokens (by their SHA-256) that were sent to Spotify, and whose outcome is not stored. Who
holds the claim exchanges; after claimed_until, by the server''s clock, another may.';

-- Known for each token now, in songswap.tokens.
ALTER TABLE songswap.grants DROP COLUMN access_digest, DROP COLUMN expires_at;

ALTER TABLE songswap.steps ADD COLUMN outcomes jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN songswap.steps.outcomes IS
  'The last outcome of each user who was asked for in this step, by user id: see
songswap.warehouse.runs.OUTCOMES.';

ALTER TABLE songswap.grants
  DROP CONSTRAINT grants_state_check,
  ADD CONSTRAINT grants_state_check
    CHECK (state IN ('active', 'refused', 'revoked', 'forbidden', 'lost')),
  ADD COLUMN forbidden_runs integer NOT NULL DEFAULT 0,
  ADD COLUMN unanswered_at timestamptz;
COMMENT ON COLUMN songswap.grants.unanswered_at IS
  'When a token that Spotify refused later had been sent to it without an answer that was stored: its
successor is lost, in a crash or on the way.';
COMMENT ON COLUMN songswap.grants.forbidden_runs IS
  'In how many runs one after the other Spotify forbade this user (403); the time of the next try
follows from it.';

CREATE OR REPLACE FUNCTION songswap.grant_states(moment timestamptz DEFAULT now())
RETURNS TABLE (
  user_id integer, state text, authorized_at timestamptz, ends_at timestamptz,
  refreshed_at timestamptz, problem text
)
LANGUAGE sql STABLE AS $$
  SELECT t.id,
    CASE
      WHEN grant_states.moment >= g.ends_at THEN 'expired'
      WHEN g.state IN ('revoked', 'forbidden', 'lost') THEN g.state
      WHEN g.ends_at - grant_states.moment <= interval '30 days' THEN 'expiring'
      ELSE 'active'
    END,
    g.authorized_at, g.ends_at, g.refreshed_at, g.problem
  FROM "SpotifyTokens" t
  LEFT JOIN (
    SELECT *, (authorized_at AT TIME ZONE 'UTC' + interval '6 months') AT TIME ZONE 'UTC' AS ends_at
    FROM songswap.grants
  ) g ON g.user_id = t.id AND g.refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
$$;
COMMENT ON FUNCTION songswap.grant_states IS
  'How the grant of each user with tokens stands: active, expiring (it ends within 30 days), expired
(six months after the authorization), revoked, forbidden, or lost (in a crash of the pipeline).';

CREATE TABLE songswap.notices (
  subject text PRIMARY KEY,
  sent_at timestamptz NOT NULL,
  detail text
);
COMMENT ON TABLE songswap.notices IS
  'What engineers were told of last, and when: each of it is told once, or once a day.';

ALTER TABLE songswap.metadata ADD COLUMN misses smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN songswap.metadata.misses IS
  'How often in a row Spotify knew no such id (404, or null in a batch). known = false only after
four: it is asked for again after 1, 7 and 30 days before.';

-- What was set aside for its time is looked at again: the clock may have been wrong.
UPDATE songswap.polls SET fingerprint = NULL WHERE user_id IN (
  SELECT user_id FROM songswap.set_aside
  WHERE reason = 'played_at: before Spotify or in the future'
);
-- Which runs are alive, and what ended a step.

ALTER TABLE songswap.runs ADD COLUMN held boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN songswap.runs.held IS
  'Whether one process does the whole run: it is dead when nobody holds its lock any more.';
ALTER TABLE songswap.runs
  DROP CONSTRAINT runs_state_check,
  ADD CONSTRAINT runs_state_check
    CHECK (state IN ('running', 'success', 'failed', 'paused', 'died'));
COMMENT ON COLUMN songswap.runs.state IS
  'paused: nothing failed, but Spotify (or ReccoBeats) took no requests until a time that it named.
died: it ended without a word.';

ALTER TABLE songswap.steps ADD COLUMN kind text;
COMMENT ON COLUMN songswap.steps.kind IS
  'The name of the error that ended the step, which says what to do; NULL where there was none.';

CREATE OR REPLACE FUNCTION songswap.is_overtaken(run songswap.runs) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM songswap.runs later
    WHERE later.started_at > run.started_at AND later.state <> 'running'
      AND starts_with(later.run_id, 'follow__') = starts_with(run.run_id, 'follow__')
  )
$$;
COMMENT ON FUNCTION songswap.is_overtaken IS
  'Whether a run of the same kind (hourly, or follow__ in between) that started later has ended.';

CREATE OR REPLACE FUNCTION songswap.dead_runs(moment timestamptz DEFAULT now())
RETURNS TABLE (run_id text, last_sign timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT r.run_id, s.last_sign
  FROM songswap.runs r
  CROSS JOIN LATERAL (
    SELECT greatest(r.started_at, max(ended_at)) AS last_sign
    FROM songswap.steps WHERE steps.run_id = r.run_id
  ) s
  WHERE r.state = 'running'
    AND (r.held OR s.last_sign < moment - interval '10 minutes' OR songswap.is_overtaken(r))
    AND NOT EXISTS (
      SELECT FROM pg_locks l
      WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint << 32 | l.objid::bigint
          = hashtextextended('songswap.runs ' || r.run_id, 0)
    )
$$;
COMMENT ON FUNCTION songswap.dead_runs IS
  'Runs that are noted as running though nobody works on them: no process holds the lock of the run,
and it is one that is held from its start to its end, or has given no sign of life for ten minutes,
or a later one has ended.';

CREATE TABLE songswap.track_forms (
  id varchar(24) PRIMARY KEY,
  form bigint NOT NULL
);
COMMENT ON TABLE songswap.track_forms IS
  'A checksum of the form in which a track was told last, its popularity aside: what is
told in the same form again is not looked at.';
