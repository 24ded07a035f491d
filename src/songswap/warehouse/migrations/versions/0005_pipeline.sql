-- What users' exports from Spotify tell, and what became of it.

CREATE TABLE songswap.imports (
  import_id text PRIMARY KEY,
  user_id integer NOT NULL REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  raw_keys text[] NOT NULL,
  counts jsonb NOT NULL
);
COMMENT ON TABLE songswap.imports IS
  'One row per export that was imported: the objects that hold its rows, and what became of each row.';

CREATE TABLE songswap.streams (
  user_id integer NOT NULL REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  ended_at timestamptz NOT NULL,
  ms_played integer NOT NULL,
  place smallint NOT NULL,
  played_at timestamp,
  outcome text NOT NULL
    CHECK (outcome IN ('loaded', 'merged', 'short', 'private', 'unidentified')),
  to_the_minute boolean NOT NULL,
  track_id varchar(24),
  shuffle boolean,
  skipped boolean,
  offline boolean,
  incognito boolean,
  reason_start text,
  reason_end text,
  platform text,
  country text,
  track_name text,
  artist_name text,
  PRIMARY KEY (user_id, ended_at, ms_played, place),
  CHECK ((played_at IS NOT NULL) = (outcome IN ('loaded', 'merged')))
);
COMMENT ON TABLE songswap.streams IS
  'Each stream of a track that a user''s export tells, once, however many files it stands in.';
COMMENT ON COLUMN songswap.streams.ended_at IS
  'When it ended, to the second; the beginning of that minute where to_the_minute.';
COMMENT ON COLUMN songswap.streams.place IS
  'Tells streams of different tracks apart that ended together after as many milliseconds.';
COMMENT ON COLUMN songswap.streams.played_at IS
  'The row of "History" that it is. loaded: it was made of it; merged: the API told it.';
COMMENT ON COLUMN songswap.streams.track_name IS
  'As told, where the export tells no id; songswap.export_tracks has the names of the others.';

CREATE TABLE songswap.export_tracks (
  id varchar(24) PRIMARY KEY,
  name text NOT NULL,
  artist text NOT NULL,
  album text NOT NULL
);
CREATE INDEX export_tracks_name ON songswap.export_tracks (name);
COMMENT ON TABLE songswap.export_tracks IS
  'What exports say of tracks: all that is known of one until Spotify is asked, or if it was removed.';
