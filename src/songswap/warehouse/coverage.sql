-- How many tracks and artists there are, and how many of them have rows in each other table. Tables with
-- several rows of one are probed row by row in the order of their keys (PostgreSQL never makes a join of a
-- scalar subquery): that costs by the number of tracks, however many rows each has.

-- name: tracks
-- Those with features and a preview have one row.
SELECT count(*) AS total,
  count((SELECT id FROM "TrackImages" i WHERE i.id = t.id LIMIT 1)) AS images,
  count((SELECT id FROM "TrackPopularity" p WHERE p.id = t.id LIMIT 1)) AS popularity,
  (SELECT count(*) FROM "TrackFeatures") AS features,
  (SELECT count(*) FROM "TrackPreviews") AS preview
FROM (SELECT id FROM "Tracks" ORDER BY id OFFSET 0) t

-- name: artists
-- As tracks.
SELECT count(*) AS total,
  count((SELECT id FROM "ArtistImages" i WHERE i.id = a.id LIMIT 1)) AS images,
  count((SELECT id FROM "ArtistPopularity" p WHERE p.id = a.id LIMIT 1)) AS popularity,
  count((SELECT id FROM "ArtistFollowers" f WHERE f.id = a.id LIMIT 1)) AS followers,
  count((SELECT id FROM "ArtistGenres" g WHERE g.id = a.id LIMIT 1)) AS genres
FROM (SELECT id FROM "Artists" ORDER BY id OFFSET 0) a
