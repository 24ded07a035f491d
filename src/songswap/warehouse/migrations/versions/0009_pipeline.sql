ALTER TABLE songswap.streams ADD COLUMN reported_at timestamptz;
COMMENT ON COLUMN songswap.streams.reported_at IS
  'When an offline phone reported it: ended_at is then its start and ms_played, pauses come after.';
