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
