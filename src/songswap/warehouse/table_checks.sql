-- Rows that cannot be right: 'spans', a check, and 'first' are one statement. A check gives ids, and how
-- many rows of each. Plays are read user by user through the key of "History": OFFSET keeps PostgreSQL from
-- a join that would read all of them. Without user 0 and the tracks of the test DAGs.

-- name: spans
-- Since when a user's plays are read: of three days, and all of them where an import ended in these.
WITH spans (user_id, since) AS (
  SELECT u.id, CASE WHEN EXISTS (
      SELECT FROM songswap.imports i
      WHERE i.user_id = u.id AND i.ended_at > now() - interval '3 days'
    ) THEN '-infinity' ELSE now() AT TIME ZONE 'UTC' - interval '3 days' END
  FROM "Users" u WHERE u.id <> 0
),

-- name: first
SELECT id::text, sum(n) OVER ()::bigint, count(*) OVER () FROM found ORDER BY found.id LIMIT 10

-- name: future_plays
-- Five minutes are left to clocks that differ.
found (id, n) AS (
  SELECT u.id, count(*)
  FROM "Users" u CROSS JOIN LATERAL (
    SELECT FROM "History"
    WHERE user_id = u.id AND played_at > now() AT TIME ZONE 'UTC' + interval '5 minutes'
    OFFSET 0
  ) h
  WHERE u.id <> 0
  GROUP BY u.id
)

-- name: double_plays
-- Two streams of exports are two plays, however near (docs/adr/0010).
near AS (
  SELECT s.user_id, h.played_at, h.track_id
  FROM spans s CROSS JOIN LATERAL (
    SELECT played_at, track_id, count(*) OVER (
        ORDER BY played_at
        RANGE BETWEEN '0.999 seconds' PRECEDING AND '0.999 seconds' FOLLOWING
      ) AS plays
    FROM "History" WHERE user_id = s.user_id AND played_at > s.since
  ) h
  WHERE h.plays > 1
), found (id, n) AS (
  SELECT n.user_id, count(*)
  FROM near n
  WHERE EXISTS (
    SELECT FROM near other
    WHERE other.user_id = n.user_id AND other.track_id = n.track_id
      AND n.played_at > other.played_at
      AND n.played_at < other.played_at + interval '1 second'
      AND NOT (
        EXISTS (
          SELECT FROM songswap.streams
          WHERE user_id = n.user_id AND played_at = n.played_at
        ) AND EXISTS (
          SELECT FROM songswap.streams
          WHERE user_id = n.user_id AND played_at = other.played_at
        )
      )
  )
  GROUP BY n.user_id
)

-- name: plays_of_no_track
-- The foreign key keeps them from being written, where it is not missing or switched off.
found (id, n) AS (
  SELECT h.track_id, count(*)
  FROM spans s CROSS JOIN LATERAL (
    SELECT track_id FROM "History" WHERE user_id = s.user_id AND played_at > s.since OFFSET 0
  ) h LEFT JOIN "Tracks" t ON t.id = h.track_id
  WHERE t.id IS NULL
  GROUP BY h.track_id
)

-- name: primary_artists
-- None is right while a track waits for its metadata, where Spotify does not know it, or where its first
-- artist has no usable id.
found (id, n) AS (
  SELECT t.id, 1
  FROM "Tracks" t LEFT JOIN (
    SELECT track_id, count(*) FILTER (WHERE is_primary) AS artists
    FROM "ArtistTracks" GROUP BY track_id
  ) a ON a.track_id = t.id
  WHERE coalesce(a.artists, 0) <> 1 AND NOT starts_with(t.id, 'SongSwapTest')
    AND NOT (coalesce(a.artists, 0) = 0 AND (
      EXISTS (
        SELECT FROM songswap.enrichment_queue q
        WHERE q.kind = 'track' AND q.id = t.id AND (q.answered_at IS NULL OR NOT q.known)
      ) OR EXISTS (
        SELECT FROM songswap.data_fixes f
        WHERE f.kind = 'track' AND f.id = t.id AND f.field = 'artists'
      )
    ))
)

-- name: popularity
found (id, n) AS (
  SELECT id, count(*)
  FROM (
    SELECT id FROM "TrackPopularity" WHERE popularity NOT BETWEEN 0 AND 100
    UNION ALL
    SELECT id FROM "ArtistPopularity" WHERE popularity NOT BETWEEN 0 AND 100
  ) outside
  WHERE NOT starts_with(id, 'SongSwapTest')
  GROUP BY id
)

-- name: features
-- The bounds of the platform's contract. NaN is larger than any number.
found (id, n) AS (
  SELECT id, 1
  FROM "TrackFeatures"
  WHERE NOT starts_with(id, 'SongSwapTest') AND NOT (
    acousticness BETWEEN 0 AND 1 AND danceability BETWEEN 0 AND 1 AND energy BETWEEN 0 AND 1
    AND instrumentalness BETWEEN 0 AND 1 AND liveness BETWEEN 0 AND 1
    AND speechiness BETWEEN 0 AND 1 AND valence BETWEEN 0 AND 1
    AND key BETWEEN -1 AND 11 AND mode BETWEEN 0 AND 1 AND loudness BETWEEN -60 AND 5
    AND tempo BETWEEN 0 AND 250 AND time_signature BETWEEN 0 AND 7
  )
)

-- name: tokens_of_no_user
found (id, n) AS (
  SELECT t.id, count(*)
  FROM (
    SELECT id FROM "SpotifyTokens" UNION ALL SELECT user_id FROM songswap.tokens
  ) t LEFT JOIN "Users" u ON u.id = t.id
  WHERE u.id IS NULL
  GROUP BY t.id
)

-- name: coverage
-- The newest snapshot against the last one that is a day older. Tracks and artists are never deleted, so
-- fewer with data is a loss; a share that falls by more than five points means that data lags behind.
newest AS (
  SELECT taken_at, facts -> 'catalogue' AS catalogue
  FROM songswap.snapshots ORDER BY taken_at DESC LIMIT 1
), before AS (
  SELECT s.facts -> 'catalogue' AS catalogue
  FROM songswap.snapshots s, newest n
  WHERE s.taken_at <= n.taken_at - interval '1 day'
  ORDER BY s.taken_at DESC LIMIT 1
), compared AS (
  SELECT kind || '.' || b.key AS id,
    (n.catalogue #>> ARRAY[kind, b.key])::bigint AS has, b.value::bigint AS had,
    (n.catalogue #>> ARRAY[kind, 'total'])::bigint AS now_all,
    (o.catalogue #>> ARRAY[kind, 'total'])::bigint AS then_all
  FROM newest n, before o, (VALUES ('tracks'), ('artists')) k (kind),
    jsonb_each_text(o.catalogue -> kind) b
), found (id, n) AS (
  SELECT id, greatest(had - has, ceil(had::numeric / nullif(then_all, 0) * now_all)::bigint - has)
  FROM compared
  WHERE has < had OR has < (had::numeric / nullif(then_all, 0) - 0.05) * now_all
)
