-- Only indexes that the first migration made: the tables that it made have an index with included
-- columns, which those of the web app do not have. Where a table has another owner, it is left alone.

DO $$
DECLARE own record;
BEGIN
  FOR own IN
    SELECT i.indexrelid::regclass AS index, n.name
    FROM (VALUES
      ('Tracks', 'Tracks_id_covering', 'songswap_tracks_id_covering'),
      ('ArtistTracks', 'ArtistTracks_artist_id', 'songswap_artist_tracks_artist_id'),
      ('History', 'History_track_id', 'songswap_history_track_id')
    ) n (of_table, before, name)
    JOIN pg_class t ON t.oid = to_regclass(format('%%I', n.of_table))
    JOIN pg_index i ON i.indrelid = t.oid
    JOIN pg_class c ON c.oid = i.indexrelid AND c.relname = n.before
    WHERE pg_has_role(t.relowner, 'USAGE')
      AND to_regclass(n.name) IS NULL
      AND EXISTS (
        SELECT FROM pg_index k WHERE k.indrelid = t.oid AND k.indnatts > k.indnkeyatts
      )
  LOOP
    EXECUTE format('ALTER INDEX %%s RENAME TO %%I', own.index, own.name);
  END LOOP;
END $$;
