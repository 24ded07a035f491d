-- The app itself: until when it may not ask, and what it may not ask for.

CREATE TABLE songswap.pauses (
  app text PRIMARY KEY,
  until timestamptz NOT NULL,
  reason text NOT NULL,
  noted_at timestamptz NOT NULL
);
COMMENT ON TABLE songswap.pauses IS
  'Until when Spotify takes no more requests of an app (its client id), or ReccoBeats none, and why.';

CREATE TABLE songswap.refusals (
  app text NOT NULL,
  endpoint text NOT NULL,
  refused_at timestamptz NOT NULL,
  ask_again_at timestamptz NOT NULL,
  PRIMARY KEY (app, endpoint)
);
COMMENT ON TABLE songswap.refusals IS
  'What Spotify does not give to an app (403), and when to try again.';

ALTER TABLE songswap.metadata ADD COLUMN source text;
COMMENT ON COLUMN songswap.metadata.source IS
  'Who told of it last: spotify or reccobeats. NULL where nobody did.';

ALTER TABLE songswap.polls ADD COLUMN pace real NOT NULL DEFAULT 0;
COMMENT ON COLUMN songswap.polls.pace IS
  'Plays in the busiest hour that the pipeline saw lately: who could play 50 before the next hourly
run is asked for in between.';

ALTER TABLE songswap.steps ADD COLUMN users integer[];
COMMENT ON COLUMN songswap.steps.users IS
  'Those of first_user to last_user whom the step is for; all, where it is NULL.';

ALTER TABLE songswap.grants
  ADD COLUMN authorized_at timestamptz,
  ADD COLUMN warned_days integer;
COMMENT ON COLUMN songswap.grants.authorized_at IS
  'When the user authorized, or at the latest when the pipeline first saw these tokens: refreshing
does not extend the six months that a refresh token lives.';
COMMENT ON COLUMN songswap.grants.warned_days IS
  'The least number of days ahead of its end at which engineers were warned.';

-- When these users authorized is not known, only that it was before their last refresh.
UPDATE songswap.grants SET authorized_at = coalesce(refreshed_at, now());

CREATE FUNCTION songswap.grant_states(moment timestamptz DEFAULT now())
RETURNS TABLE (
  user_id integer, state text, authorized_at timestamptz, ends_at timestamptz,
  refreshed_at timestamptz, problem text
)
LANGUAGE sql STABLE AS $$
  SELECT t.id,
    CASE
      WHEN grant_states.moment >= g.ends_at THEN 'expired'
      WHEN g.state IN ('revoked', 'forbidden') THEN g.state
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
(six months after the authorization), revoked or forbidden.';
