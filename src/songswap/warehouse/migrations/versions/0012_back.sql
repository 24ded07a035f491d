DROP FUNCTION songswap.users_to_poll, songswap.limit_of_day;
DROP FUNCTION songswap.possibly_spooled;
DROP TABLE songswap.cut_off_exchanges;
ALTER TABLE songswap.token_exchanges DROP COLUMN spool_id;
DROP TABLE songswap.spools, songswap.catalogue_shards;
