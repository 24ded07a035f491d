-- Counts of runs that have ended keep their names: no version reads them by name after that.

ALTER TABLE songswap.enrichment_queue RENAME TO metadata;
ALTER TABLE songswap.metadata RENAME COLUMN queued_at TO wanted_since;
ALTER TABLE songswap.metadata RENAME CONSTRAINT enrichment_queue_pkey TO metadata_pkey;
ALTER TABLE songswap.metadata RENAME CONSTRAINT enrichment_queue_kind_check TO metadata_kind_check;
ALTER INDEX songswap.enrichment_queue_waiting RENAME TO metadata_wanted;
ALTER TABLE songswap.data_fixes RENAME TO notes;
ALTER TABLE songswap.notes RENAME CONSTRAINT data_fixes_pkey TO notes_pkey;
ALTER TABLE songswap.blocked_endpoints RENAME TO refusals;
ALTER TABLE songswap.refusals RENAME CONSTRAINT blocked_endpoints_pkey TO refusals_pkey;
ALTER TABLE songswap.rejected_items RENAME TO set_aside;
ALTER TABLE songswap.set_aside RENAME CONSTRAINT rejected_items_pkey TO set_aside_pkey;
ALTER TABLE songswap.set_aside
  RENAME CONSTRAINT rejected_items_user_id_fkey TO set_aside_user_id_fkey;
ALTER TABLE songswap.polls RENAME COLUMN polled_at TO asked_at;
ALTER TABLE songswap.polls RENAME COLUMN plays_per_hour TO pace;
ALTER TABLE songswap.requests RENAME COLUMN priority TO rank;
