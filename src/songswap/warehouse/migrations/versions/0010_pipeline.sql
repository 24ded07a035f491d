-- What exports tell of tracks that Spotify no longer knows: how long they are, and whose.

ALTER TABLE songswap.export_tracks ADD COLUMN duration_ms integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN songswap.export_tracks.duration_ms IS
  'The longest time of listening that ended with the track (trackdone); 0 where none did.';

CREATE TABLE songswap.estimated_durations (
  id varchar(24) PRIMARY KEY
);
COMMENT ON TABLE songswap.estimated_durations IS
  'Tracks whose length in "Tracks" is that of songswap.export_tracks, because Spotify has told none:
what it tells takes its place.';

UPDATE songswap.export_tracks e SET duration_ms = s.duration_ms
FROM (
  SELECT track_id, max(ms_played) AS duration_ms FROM songswap.streams
  WHERE reason_end = 'trackdone' AND NOT to_the_minute AND track_id IS NOT NULL
  GROUP BY track_id
) s
WHERE s.track_id = e.id;

-- The login of migrations may be another than that of loads: then the next import of a track gives it.
DO $$
BEGIN
  IF has_table_privilege('"Tracks"', 'SELECT') AND has_table_privilege('"Tracks"', 'UPDATE')
    AND EXISTS (SELECT FROM songswap.export_tracks WHERE duration_ms > 0)
  THEN
    INSERT INTO songswap.estimated_durations
    SELECT e.id FROM songswap.export_tracks e JOIN "Tracks" t ON t.id = e.id
    WHERE e.duration_ms > 0 AND coalesce(t.duration_ms, 0) = 0;
    UPDATE "Tracks" t SET duration_ms = e.duration_ms
    FROM songswap.export_tracks e
    WHERE e.id = t.id AND EXISTS (SELECT FROM songswap.estimated_durations d WHERE d.id = t.id);
  END IF;
END $$;

-- In quotes, so that columns of the platform's tables can be widened: a view would forbid it. Joins
-- alone, so that the server plans it together with the query that it stands in.
CREATE FUNCTION songswap.primary_artists()
RETURNS TABLE (track_id text, artist_id text, name text)
LANGUAGE sql STABLE AS $$
  SELECT t.id::text, a.id::text, coalesce(a.name, left(e.artist, 120))::text
  FROM "Tracks" t
  LEFT JOIN "ArtistTracks" l ON l.track_id = t.id AND l.is_primary
  LEFT JOIN "Artists" a ON a.id = l.artist_id
  LEFT JOIN songswap.export_tracks e ON e.id = t.id AND l.track_id IS NULL AND e.artist <> ''
  WHERE a.id IS NOT NULL OR e.id IS NOT NULL
$$;
COMMENT ON FUNCTION songswap.primary_artists IS
  'The primary artist of each track; where Spotify has told none, the one that exports name, whose id
nobody knows: artist_id is NULL then.';
