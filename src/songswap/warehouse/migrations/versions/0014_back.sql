ALTER TABLE songswap.grants DROP COLUMN refused_at;
DROP TABLE songswap.disconnects, songswap.erasure_places, songswap.erasures;
