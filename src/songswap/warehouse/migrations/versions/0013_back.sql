DROP TABLE songswap.snapshots, songswap.plays_by_hour, songswap.totals, songswap.news;
DROP INDEX songswap.imports_of_user;
ALTER TABLE songswap.runs DROP counted;
