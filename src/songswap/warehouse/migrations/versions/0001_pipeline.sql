-- The pipeline's own bookkeeping. It never changes the platform's tables; rows about a user go when
-- the user goes.

CREATE TABLE songswap.runs (
  run_id text PRIMARY KEY,
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'success', 'failed')),
  counts jsonb NOT NULL DEFAULT '{}',
  problem text
);
COMMENT ON TABLE songswap.runs IS 'One row per hourly run: what it did, in numbers.';

CREATE TABLE songswap.steps (
  run_id text NOT NULL REFERENCES songswap.runs ON DELETE CASCADE,
  step text NOT NULL,
  number integer NOT NULL DEFAULT 0,
  first_user integer,
  last_user integer,
  state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'done', 'failed')),
  counts jsonb NOT NULL DEFAULT '{}',
  problem text,
  ended_at timestamptz,
  PRIMARY KEY (run_id, step, number)
);
COMMENT ON TABLE songswap.steps IS
  'One row per part of a run; fetch and load have one per batch of users. Planned until it ended.';

CREATE TABLE songswap.polls (
  user_id integer PRIMARY KEY REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  asked_at timestamptz NOT NULL,
  answered_at timestamptz,
  fingerprint bytea,
  newest_played_at timestamptz,
  problem text
);
COMMENT ON TABLE songswap.polls IS
  'When each user was last asked for and last answered. The fingerprint is that of the newest answer
that is in History: the same answer again tells nothing new.';

CREATE TABLE songswap.grants (
  user_id integer PRIMARY KEY REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  state text NOT NULL DEFAULT 'active'
    CHECK (state IN ('active', 'refused', 'revoked', 'forbidden')),
  access_digest bytea,
  refresh_digest bytea,
  expires_at timestamptz,
  refreshed_at timestamptz,
  ask_again_at timestamptz,
  refused_in text,
  problem text
);
COMMENT ON TABLE songswap.grants IS
  'What is known of the tokens in "SpotifyTokens", by their SHA-256. A state other than active holds
for those tokens only: new ones, from a new authorization, are tried at once.';

CREATE TABLE songswap.gaps (
  user_id integer NOT NULL REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  after timestamptz NOT NULL,
  before timestamptz NOT NULL,
  found_at timestamptz NOT NULL,
  run_id text NOT NULL,
  closed_at timestamptz,
  PRIMARY KEY (user_id, before)
);
COMMENT ON TABLE songswap.gaps IS
  'Plays that Spotify had forgotten before it was asked lie between these two known moments.';

CREATE TABLE songswap.set_aside (
  user_id integer NOT NULL REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  fingerprint bytea NOT NULL,
  reason text NOT NULL,
  played_at text,
  raw_key text NOT NULL,
  run_id text NOT NULL,
  found_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, fingerprint)
);
COMMENT ON TABLE songswap.set_aside IS
  'Items that cannot be rows of History, why, and the object that holds their raw answer.';

CREATE TABLE songswap.notes (
  kind text NOT NULL,
  id varchar(24) NOT NULL,
  field text NOT NULL,
  problem text NOT NULL,
  found_at timestamptz NOT NULL,
  PRIMARY KEY (kind, id, field, problem)
);
COMMENT ON TABLE songswap.notes IS
  'What was cut, cleaned or left out of a track, an artist or features whose row was kept.';

CREATE TABLE songswap.metadata (
  kind text NOT NULL CHECK (kind IN ('track', 'artist', 'features')),
  id varchar(24) NOT NULL,
  wanted_since timestamptz,
  not_before timestamptz,
  answered_at timestamptz,
  known boolean,
  PRIMARY KEY (kind, id)
);
CREATE INDEX metadata_wanted ON songswap.metadata (kind, wanted_since, id)
  WHERE wanted_since IS NOT NULL;
COMMENT ON TABLE songswap.metadata IS
  'What is to be asked of Spotify about tracks and artists, and what was answered. known = false: it
said that there is no such id.';
