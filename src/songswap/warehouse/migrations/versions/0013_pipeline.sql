CREATE TABLE songswap.snapshots (
  taken_at timestamptz PRIMARY KEY,
  run_id text NOT NULL,
  facts jsonb NOT NULL
);
COMMENT ON TABLE songswap.snapshots IS
  'What the page in Airflow shows, as it was at the end of an hourly run: ids and counts alone.';
COMMENT ON COLUMN songswap.snapshots.run_id IS
  'The run that took it, which may be deleted since.';
COMMENT ON COLUMN songswap.snapshots.facts IS 'Its keys are in docs/json.md.';

CREATE TABLE songswap.plays_by_hour (
  hour timestamptz PRIMARY KEY,
  plays bigint NOT NULL
);
COMMENT ON TABLE songswap.plays_by_hour IS
  'Plays of all users but user 0 in an hour of UTC, as they were counted last. An hour without a row was
never counted.';

-- The imports of one user.
CREATE INDEX imports_of_user ON songswap.imports (user_id);

CREATE TABLE songswap.totals (
  name text PRIMARY KEY,
  total bigint NOT NULL
);
COMMENT ON TABLE songswap.totals IS
  'What all runs counted, by the name of the count; it stays when their rows are deleted.';

ALTER TABLE songswap.runs ADD counted jsonb;
COMMENT ON COLUMN songswap.runs.counted IS
  'The counts of its steps that songswap.totals has; NULL if it has none of them.';

CREATE TABLE songswap.news (
  run_id text,
  part text,
  counts jsonb NOT NULL,
  PRIMARY KEY (run_id, part)
);
COMMENT ON TABLE songswap.news IS
  'What a part of a replay or of a backfill has brought, for the DAGs that wait for it.';
