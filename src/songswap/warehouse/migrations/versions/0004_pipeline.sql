-- When a window was learned is kept apart from when it grew; when a feed first answered is kept; dead
-- grants of old are asked again.

ALTER TABLE songswap.budgets ADD COLUMN window_learned_at timestamptz;
COMMENT ON COLUMN songswap.budgets.window_learned_at IS
  'When a refusal last lowered per_window; others in the same window are part of it.';
COMMENT ON COLUMN songswap.budgets.window_changed_at IS
  'When per_window last grew, or Spotify last refused: it grows a whole window after that.';

-- Who was refused before refusals were counted has never been asked for again.
UPDATE songswap.grants SET refusals = 1, ask_again_at = now()
WHERE state = 'revoked' AND refusals = 0 AND ask_again_at IS NULL
  AND authorized_at > now() - interval '6 months';

ALTER TABLE songswap.polls ADD COLUMN first_answered_at timestamptz;
COMMENT ON COLUMN songswap.polls.first_answered_at IS
  'When the user''s feed answered first. What was played before that is not promised.';
UPDATE songswap.polls SET first_answered_at = answered_at;
