ALTER TABLE songswap.token_exchanges DROP COLUMN spool_id;
DROP TABLE songswap.spools, songswap.catalogue_shards;
