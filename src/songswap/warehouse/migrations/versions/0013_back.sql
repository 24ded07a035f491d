DROP TABLE songswap.snapshots, songswap.plays_by_hour, songswap.totals;
ALTER TABLE songswap.runs DROP counted;
