-- One budget of requests for all who ask with an app; refused grants are asked for again.

CREATE TABLE songswap.budgets (
  app text PRIMARY KEY,
  per_window integer,
  window_changed_at timestamptz,
  per_day integer,
  day_learned_at timestamptz,
  closed_until timestamptz
);
COMMENT ON TABLE songswap.budgets IS
  'What Spotify takes of an app (its client id), as far as its refusals (429) have told.';
COMMENT ON COLUMN songswap.budgets.per_window IS
  'Requests in a rolling window of 30 seconds; NULL until Spotify first refused one.';
COMMENT ON COLUMN songswap.budgets.per_day IS
  'Requests in a rolling day; NULL until Spotify first spoke of a quota.';
COMMENT ON COLUMN songswap.budgets.closed_until IS
  'Until when nobody asks, after a refusal that asked for a short wait. By the server''s clock.';

CREATE TABLE songswap.requests (
  app text NOT NULL,
  span text NOT NULL CHECK (span IN ('second', 'hour')),
  at timestamptz NOT NULL,
  rank smallint NOT NULL,
  requests integer NOT NULL,
  PRIMARY KEY (app, span, at, rank)
);
COMMENT ON TABLE songswap.requests IS
  'Requests that were granted lately: by the second of the server''s clock, for the window, and by
the hour, for the day. Older rows are deleted as new ones come.';
COMMENT ON COLUMN songswap.requests.rank IS '0: plays, 1: enrichment, 2: backfill.';

ALTER TABLE songswap.grants ADD COLUMN refusals integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN songswap.grants.refusals IS
  'How often in a row Spotify refused these tokens; the time of the next try follows from it.';
