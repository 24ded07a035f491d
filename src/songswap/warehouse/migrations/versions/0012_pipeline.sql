CREATE TABLE songswap.catalogue_shards (
  shard smallint PRIMARY KEY,
  version bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE songswap.catalogue_shards IS
  'Tracks by the CRC-32 of their id, modulo 64. Whoever adds or changes rows of tracks locks the
rows of their shards, in order, by adding one to version.';
INSERT INTO songswap.catalogue_shards (shard) SELECT generate_series(0, 63);

CREATE TABLE songswap.spools (
  spool_id uuid PRIMARY KEY,
  host text NOT NULL,
  seen_at timestamptz NOT NULL,
  waiting_for_s3 integer NOT NULL DEFAULT 0,
  waiting_for_warehouse integer NOT NULL DEFAULT 0,
  waiting_tokens integer NOT NULL DEFAULT 0,
  waiting_since timestamptz,
  problem text
);
COMMENT ON TABLE songswap.spools IS
  'What waits in the spool of each host, by its last report, without what batches in progress are
working on.';
COMMENT ON COLUMN songswap.spools.seen_at IS 'When it last reported, by the server''s clock.';
COMMENT ON COLUMN songswap.spools.waiting_since IS
  'When the oldest of what waits was received; NULL where nothing waits.';

ALTER TABLE songswap.token_exchanges ADD COLUMN spool_id uuid;
COMMENT ON COLUMN songswap.token_exchanges.spool_id IS
  'The spool of the host that sent the token: its successor may be there. NULL where nobody sent it.';
