CREATE TABLE songswap.erasures (
  erasure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id integer NOT NULL,
  requested_at timestamptz NOT NULL,
  reason text NOT NULL CHECK (reason IN ('request', 'due')),
  keeps_account boolean NOT NULL,
  refresh_digest bytea,
  ended_at timestamptz,
  renewed_at timestamptz,
  CHECK (renewed_at >= ended_at)
);
CREATE INDEX erasures_of_user ON songswap.erasures (user_id);
-- One at a time.
CREATE UNIQUE INDEX erasures_in_force ON songswap.erasures (user_id) WHERE renewed_at IS NULL;
COMMENT ON TABLE songswap.erasures IS
  'Users whose data was erased, or is being erased. It has no foreign key to "Users": it stays as the proof,
and so that nothing of the user is loaded again.';
COMMENT ON COLUMN songswap.erasures.reason IS
  'request: somebody asked for it; due: the time after the end of a grant was over.';
COMMENT ON COLUMN songswap.erasures.keeps_account IS 'Whether the user''s row in "Users" stays.';
COMMENT ON COLUMN songswap.erasures.refresh_digest IS
  'The SHA-256 of the refresh token in "SpotifyTokens" at the request: another one is a new authorization.';
COMMENT ON COLUMN songswap.erasures.ended_at IS 'When every place had confirmed.';
COMMENT ON COLUMN songswap.erasures.renewed_at IS
  'When the user was seen to have authorized again, after the end: what came later is loaded. NULL: nothing is.';

CREATE TABLE songswap.erasure_places (
  erasure_id bigint REFERENCES songswap.erasures ON DELETE CASCADE,
  place text,
  host text,
  first_seen_at timestamptz,
  at_work bigint[] NOT NULL DEFAULT '{}',
  removed jsonb NOT NULL DEFAULT '{}',
  found jsonb,
  confirmed_at timestamptz,
  swept timestamptz,
  problem text,
  PRIMARY KEY (erasure_id, place)
);
CREATE INDEX erasure_places_unconfirmed ON songswap.erasure_places (place) WHERE confirmed_at IS NULL;
COMMENT ON TABLE songswap.erasure_places IS
  'Where a user''s data is erased, and what was removed there: the places of a receipt.';
COMMENT ON COLUMN songswap.erasure_places.place IS
  'warehouse, s3, or the id of a host''s spool.';
COMMENT ON COLUMN songswap.erasure_places.first_seen_at IS
  'When a host added itself that was not known at the request. NULL: it waits since the request.';
COMMENT ON COLUMN songswap.erasure_places.at_work IS
  'Processes of that host that may have a response of the user still, as it saw the erasure first: it
confirms when they have ended. Empty until then.';
COMMENT ON COLUMN songswap.erasure_places.removed IS 'How much, by kind: counts alone.';
COMMENT ON COLUMN songswap.erasure_places.found IS
  'What a removal has found that is under way and no transaction; NULL where none is. If it was cut off, the
difference to what the next one finds was removed.';
COMMENT ON COLUMN songswap.erasure_places.swept IS
  'The confirmation of a host after which the warehouse and S3 were swept last.';
COMMENT ON COLUMN songswap.erasure_places.problem IS 'Why it could not be erased there last.';

CREATE TABLE songswap.disconnects (
  user_id integer PRIMARY KEY,
  reason text NOT NULL CHECK (reason IN ('revoked', 'gone')),
  since timestamptz NOT NULL,
  due_at timestamptz NOT NULL
);
COMMENT ON TABLE songswap.disconnects IS
  'Users who have to be erased by due_at, unless they authorize again: whose grant was revoked, or who are gone
from "Users" while the archive has something of them.';
COMMENT ON COLUMN songswap.disconnects.since IS
  'When Spotify first refused the grant, or when it was first seen that the user is gone.';

ALTER TABLE songswap.grants ADD COLUMN refused_at timestamptz;
COMMENT ON COLUMN songswap.grants.refused_at IS
  'When the first of its refusals was settled. NULL: none was, or it was before version 0014.';

-- Users whose erasure is in force have no tokens for the pipeline, and are not polled.
CREATE OR REPLACE FUNCTION songswap.current_tokens()
RETURNS TABLE (user_id integer, access_token bytea, refresh_token bytea, expires_at timestamptz,
  platform_digest bytea)
LANGUAGE sql STABLE AS $$
  SELECT t.id::integer,
    coalesce(k.access_token, convert_to(t.access_token, 'UTF8'), ''::bytea),
    coalesce(k.refresh_token, convert_to(t.refresh_token, 'UTF8')), k.expires_at,
    sha256(convert_to(t.refresh_token, 'UTF8'))
  FROM "SpotifyTokens" t
  LEFT JOIN songswap.tokens k ON k.user_id = t.id
    AND k.platform_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
  WHERE t.refresh_token IS NOT NULL AND NOT EXISTS (
    SELECT FROM songswap.erasures e WHERE e.user_id = t.id AND e.renewed_at IS NULL
  )
$$;

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
  WHERE NOT EXISTS (
    SELECT FROM songswap.erasures e WHERE e.user_id = t.id AND e.renewed_at IS NULL
  )
$$;

CREATE OR REPLACE FUNCTION songswap.users_to_poll(moment timestamptz DEFAULT now())
RETURNS TABLE (
  user_id integer, polled_at timestamptz, answered_at timestamptz, plays_per_hour real,
  waits_since timestamptz
)
LANGUAGE sql STABLE AS $$
  SELECT u.id,
    CASE WHEN p.polled_at BETWEEN g.authorized_at AND users_to_poll.moment THEN p.polled_at END,
    CASE
      WHEN p.answered_at > users_to_poll.moment THEN users_to_poll.moment - interval '1 hour'
      ELSE p.answered_at
    END,
    p.plays_per_hour, coalesce(p.answered_at, g.authorized_at)
  FROM "Users" u
  JOIN "SpotifyTokens" t ON t.id = u.id AND t.refresh_token IS NOT NULL
  LEFT JOIN songswap.grants g
    ON g.user_id = u.id AND g.refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
  LEFT JOIN songswap.polls p ON p.user_id = u.id
  WHERE ((g.state IN ('revoked', 'lost') OR g.state = 'forbidden' AND g.refused_in IS NULL)
    AND coalesce(g.ask_again_at, 'infinity') > users_to_poll.moment) IS NOT TRUE
    AND NOT EXISTS (
      SELECT FROM songswap.erasures e WHERE e.user_id = u.id AND e.renewed_at IS NULL
    )
$$;
