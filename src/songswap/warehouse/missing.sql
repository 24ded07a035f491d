-- The ids of each kind that lack rows, as a WITH clause, and the two queries that can follow it.
--
-- Tables are probed row by row in the order of their keys (PostgreSQL never makes a join of a scalar
-- subquery), so that a page costs what it reads, however large the tables are.

-- name: artist
-- Artists without popularity or followers.
WITH lacking AS (
  SELECT a.id, m.known, m.answered_at, m.queued_at, m.not_before
  FROM "Artists" a LEFT JOIN songswap.enrichment_queue m ON m.kind = 'artist' AND m.id = a.id
  WHERE (SELECT id FROM "ArtistPopularity" p WHERE p.id = a.id LIMIT 1) IS NULL
     OR (SELECT id FROM "ArtistFollowers" f WHERE f.id = a.id LIMIT 1) IS NULL
)

-- name: track
-- Tracks without popularity or images.
WITH lacking AS (
  SELECT t.id, m.known, m.answered_at, m.queued_at, m.not_before
  FROM "Tracks" t LEFT JOIN songswap.enrichment_queue m ON m.kind = 'track' AND m.id = t.id
  WHERE (SELECT id FROM "TrackPopularity" p WHERE p.id = t.id LIMIT 1) IS NULL
     OR (SELECT id FROM "TrackImages" i WHERE i.id = t.id LIMIT 1) IS NULL
)

-- name: features
-- Tracks without features.
WITH lacking AS (
  SELECT t.id, m.known, m.answered_at, m.queued_at, m.not_before
  FROM "Tracks" t LEFT JOIN songswap.enrichment_queue m ON m.kind = 'features' AND m.id = t.id
  WHERE (SELECT id FROM "TrackFeatures" f WHERE f.id = t.id) IS NULL
)

-- name: page
-- Without ids that were queued or postponed after the count.
SELECT id FROM lacking
WHERE answered_at IS NULL AND id > %(after)s AND id <= %(through)s
  AND coalesce(queued_at <= %(at)s, true) AND coalesce(not_before <= %(at)s, true)
ORDER BY id LIMIT %(limit)s

-- name: count
-- With the last id of those that are chosen.
SELECT count(*) FILTER (WHERE missing), count(*) FILTER (WHERE open AND NOT missing),
  count(*) FILTER (WHERE NOT known),
  coalesce(max(id) FILTER (WHERE missing AND number <= coalesce(%(at_most)s, number)), '')
FROM (
  SELECT *, count(*) FILTER (WHERE missing) OVER (ORDER BY id) AS number
  FROM (
    SELECT id, known, answered_at IS NULL AS open,
      answered_at IS NULL AND coalesce(queued_at <= %(at)s, true)
        AND coalesce(not_before <= %(at)s, true) AS missing
    FROM lacking WHERE id <= coalesce(%(through)s, id)
  ) judged
) numbered
