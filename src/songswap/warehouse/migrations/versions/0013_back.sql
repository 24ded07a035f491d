DROP TABLE songswap.snapshots, songswap.plays_by_hour;
