DROP TABLE songswap.snapshots, songswap.plays_by_hour;
DROP INDEX songswap.imports_of_user;
