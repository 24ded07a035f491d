-- The names that the field uses, for tables, columns and counts.

ALTER TABLE songswap.metadata RENAME TO enrichment_queue;
ALTER TABLE songswap.enrichment_queue RENAME COLUMN wanted_since TO queued_at;
ALTER TABLE songswap.enrichment_queue RENAME CONSTRAINT metadata_pkey TO enrichment_queue_pkey;
ALTER TABLE songswap.enrichment_queue
  RENAME CONSTRAINT metadata_kind_check TO enrichment_queue_kind_check;
ALTER INDEX songswap.metadata_wanted RENAME TO enrichment_queue_waiting;
COMMENT ON TABLE songswap.enrichment_queue IS
  'Tracks and artists whose metadata is to be fetched (queued_at), and what is known of the others.
known = false: Spotify has no such id.';
COMMENT ON COLUMN songswap.enrichment_queue.source IS
  'Who returned it last: spotify or reccobeats. NULL where nobody has.';

ALTER TABLE songswap.notes RENAME TO data_fixes;
ALTER TABLE songswap.data_fixes RENAME CONSTRAINT notes_pkey TO data_fixes_pkey;
COMMENT ON TABLE songswap.data_fixes IS
  'What was cut, cleaned or left out of a track, an artist or features whose row was loaded.';

ALTER TABLE songswap.refusals RENAME TO blocked_endpoints;
ALTER TABLE songswap.blocked_endpoints RENAME CONSTRAINT refusals_pkey TO blocked_endpoints_pkey;
COMMENT ON TABLE songswap.blocked_endpoints IS
  'Endpoints that Spotify forbids to an app (403), and when each is tried again.';

ALTER TABLE songswap.set_aside RENAME TO rejected_items;
ALTER TABLE songswap.rejected_items RENAME CONSTRAINT set_aside_pkey TO rejected_items_pkey;
ALTER TABLE songswap.rejected_items
  RENAME CONSTRAINT set_aside_user_id_fkey TO rejected_items_user_id_fkey;
COMMENT ON TABLE songswap.rejected_items IS
  'Items that cannot be rows of History, why, and the object that holds their raw response.';

ALTER TABLE songswap.polls RENAME COLUMN asked_at TO polled_at;
ALTER TABLE songswap.polls RENAME COLUMN pace TO plays_per_hour;
COMMENT ON TABLE songswap.polls IS
  'When each user was last polled, and when Spotify last responded. The fingerprint is that of the
newest response in History: the same response again holds nothing new.';
COMMENT ON COLUMN songswap.polls.plays_per_hour IS
  'Plays in the busiest hour seen lately: a user who could play 50 before the next hourly run is
polled in between.';

ALTER TABLE songswap.requests RENAME COLUMN rank TO priority;
COMMENT ON COLUMN songswap.requests.priority IS '0: plays, 1: enrichment, 2: backfill.';

COMMENT ON COLUMN songswap.runs.state IS
  'paused: nothing failed, but Spotify (or ReccoBeats) took no requests until a time that it named.
died: it was killed before it could report.';

COMMENT ON TABLE songswap.runs IS 'One row per run: its state, its counts, and what failed.';
COMMENT ON TABLE songswap.steps IS
  'One row per step of a run; fetch and load have one per batch of users. Planned until it ends.';
COMMENT ON COLUMN songswap.steps.users IS
  'Users from first_user to last_user whom the step covers; NULL: all of them.';
COMMENT ON COLUMN songswap.steps.outcomes IS
  'The last outcome of each user polled in this step, by user id.';
COMMENT ON COLUMN songswap.steps.kind IS
  'The class of the error that ended the step; NULL where there was none.';
COMMENT ON COLUMN songswap.polls.first_answered_at IS
  'When Spotify first returned the user''s feed. Plays from before that are not promised.';
COMMENT ON TABLE songswap.gaps IS
  'Between these two moments are plays that Spotify dropped before they could be polled.';
COMMENT ON TABLE songswap.grants IS
  'What is known of the tokens in "SpotifyTokens", by their SHA-256. A state other than active holds
for those tokens only: new ones, from a new authorization, are tried at once.';
COMMENT ON COLUMN songswap.grants.authorized_at IS
  'When the user authorized, or when the pipeline first saw these tokens. A refresh does not extend
the six months that a grant lives.';
COMMENT ON COLUMN songswap.grants.warned_days IS
  'The smallest number of days before its end at which engineers were warned.';
COMMENT ON COLUMN songswap.grants.refusals IS
  'How many times in a row Spotify refused these tokens; decides when they are tried again.';
COMMENT ON COLUMN songswap.grants.forbidden_runs IS
  'In how many runs in a row Spotify forbade this user (403); decides when it is tried again.';
COMMENT ON COLUMN songswap.grants.unanswered_at IS
  'When a token that Spotify refused later was first sent without a stored response: its successor
is lost.';
COMMENT ON FUNCTION songswap.grant_states IS
  'The state of each user''s grant: active, expiring (within 30 days), expired (six months after the
authorization), revoked, forbidden, or lost (its newest token was never stored).';
COMMENT ON TABLE songswap.pauses IS
  'Until when Spotify takes no more requests of an app (its client id), or ReccoBeats none, and why.';
COMMENT ON TABLE songswap.budgets IS
  'The limits of an app (its client id), learned from Spotify''s refusals (429).';
COMMENT ON COLUMN songswap.budgets.per_window IS
  'Requests in a rolling window of 30 seconds; NULL until Spotify first refused one.';
COMMENT ON COLUMN songswap.budgets.per_day IS
  'Requests in a rolling day; NULL until Spotify first named a quota.';
COMMENT ON COLUMN songswap.budgets.closed_until IS
  'Until when no request is sent, after a refusal with a short wait. By the server''s clock.';
COMMENT ON COLUMN songswap.budgets.window_changed_at IS
  'When per_window last grew, or Spotify last refused; it grows a whole window after that.';
COMMENT ON TABLE songswap.tokens IS
  'The newest tokens that Spotify issued to a user, as UTF-8 of any length.';
COMMENT ON COLUMN songswap.tokens.platform_digest IS
  'SHA-256 of the refresh token in "SpotifyTokens" when these were stored. If that has changed, the
web app has written a newer one, which wins.';
COMMENT ON TABLE songswap.token_exchanges IS
  'Refresh tokens (by their SHA-256) that were sent to Spotify and whose successor is not stored yet.
The holder of the claim exchanges it; after claimed_until, by the server''s clock, another may.';
COMMENT ON FUNCTION songswap.current_tokens IS
  'The tokens to use: the newest that Spotify issued, or what the web app wrote after that.
expires_at is NULL where it is not known.';
COMMENT ON FUNCTION songswap.dead_runs IS
  'Runs that are recorded as running without a process: no process renews their lease, and they are
run by one process alone, have given no sign of life for ten minutes, or a later run has ended.';
COMMENT ON TABLE songswap.notices IS
  'The notices that engineers received last, and when: each is sent once, or once a day.';
COMMENT ON TABLE songswap.imports IS
  'One row per imported export: the objects that hold its rows, and the counts of their outcomes.';
COMMENT ON TABLE songswap.streams IS
  'Each stream of a track in a user''s exports, once, however many files contain it.';
COMMENT ON COLUMN songswap.streams.place IS
  'Numbers streams of different tracks that ended together after as many milliseconds.';
COMMENT ON COLUMN songswap.streams.played_at IS
  'Its row of "History". loaded: the row was made from it; merged: the API returned the play.';
COMMENT ON COLUMN songswap.streams.track_name IS
  'From the export, where it has no id; songswap.export_tracks has the names of the others.';
COMMENT ON TABLE songswap.export_tracks IS
  'What exports say of tracks: all that is known until Spotify returns them, or if it removed them.';
COMMENT ON COLUMN songswap.export_tracks.duration_ms IS
  'The longest time of listening that ended with the track (trackdone); 0 where none did.';
COMMENT ON TABLE songswap.estimated_durations IS
  'Tracks whose length in "Tracks" comes from songswap.export_tracks, until Spotify returns one.';
COMMENT ON FUNCTION songswap.primary_artists IS
  'The primary artist of each track; where Spotify has returned none, the one that exports name, with
NULL for artist_id.';
COMMENT ON TABLE songswap.track_forms IS
  'A checksum of each track''s last form, its popularity aside: the same form again is not compared.';

CREATE FUNCTION songswap.renamed(counts jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_object_agg(coalesce(w.new, c.key), c.value), '{}')
  FROM jsonb_each(counts) c LEFT JOIN (VALUES
    ('asked', 'polled'), ('resting', 'paused'), ('answers', 'responses'),
    ('set_aside', 'rejected_items'), ('notes', 'data_fixes'), ('again', 'duplicates'),
    ('track_asked', 'track_requested'), ('track_told', 'track_received'),
    ('artist_asked', 'artist_requested'), ('artist_told', 'artist_received'),
    ('features_asked', 'features_requested'), ('features_told', 'features_received')
  ) w (old, new) ON w.old = c.key
$$;
UPDATE songswap.runs SET counts = songswap.renamed(counts) WHERE counts <> '{}';
UPDATE songswap.imports SET counts = songswap.renamed(counts);
-- Steps are only read until their run has ended.
UPDATE songswap.steps s SET
  counts = songswap.renamed(s.counts),
  kind = coalesce(w.new, s.kind)
FROM songswap.runs r, songswap.steps same
LEFT JOIN (VALUES
  ('HeldBack', 'QuotaReserved'), ('Yielded', 'Deferred'), ('GrantRefused', 'InvalidGrant'),
  ('CredentialsRefused', 'InvalidClient'), ('AnswerDamaged', 'CorruptResponse')
) w (old, new) ON w.old = same.kind
WHERE r.run_id = s.run_id AND r.state = 'running'
  AND (same.run_id, same.step, same.number) = (s.run_id, s.step, s.number);
DROP FUNCTION songswap.renamed;
