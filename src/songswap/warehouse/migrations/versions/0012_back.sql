DROP FUNCTION songswap.users_to_poll, songswap.limit_of_day;
ALTER TABLE songswap.token_exchanges DROP COLUMN spool_id;
DROP TABLE songswap.spools, songswap.catalogue_shards;
