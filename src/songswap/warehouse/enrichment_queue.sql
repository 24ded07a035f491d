-- The enrichment queue: which ids are to be fetched, and what was received of the others. A transaction has
-- one statement that writes to it, at its end, and in the order of the key (kind, id).

-- name: queued_ids
-- Without those that are postponed.
SELECT id FROM songswap.enrichment_queue
WHERE kind = %(kind)s AND queued_at IS NOT NULL
  AND (not_before IS NULL OR not_before <= %(now)s)
ORDER BY queued_at, id LIMIT %(limit)s

-- name: stale_artists
SELECT i.id FROM unnest(%(ids)s::text[]) i (id)
WHERE NOT EXISTS (SELECT FROM "ArtistPopularity" p WHERE p.id = i.id AND p.date > %(stale)s)

-- name: enqueue
-- Unless they are queued, were received after `stale`, or are unknown to Spotify.
INSERT INTO songswap.enrichment_queue AS q (kind, id, queued_at)
SELECT n.kind, n.id, %(now)s
FROM unnest(%(kinds)s::text[], %(ids)s::text[]) n (kind, id)
ORDER BY n.kind, n.id
ON CONFLICT (kind, id) DO UPDATE SET queued_at = EXCLUDED.queued_at
WHERE q.queued_at IS NULL
  AND (q.answered_at IS NULL OR q.known AND q.answered_at < %(stale)s)

-- name: enqueue_heard
-- What new plays make us fetch, each by its own time: features of a track, which do not change; a track
-- or an artist whose popularity is stale. And incomplete tracks, once where `stale` is NULL. Rows that would
-- not change are left out before they are locked.
WITH heard AS MATERIALIZED (
  SELECT * FROM unnest(%(tracks)s::text[], %(now)s::timestamptz[], %(stale)s::timestamptz[])
    h (track_id, now, stale)
), wanted (kind, id, now, stale) AS (
  SELECT 'features', track_id, min(now), NULL::timestamptz FROM heard h
  WHERE NOT EXISTS (SELECT FROM "TrackFeatures" f WHERE f.id = h.track_id)
  GROUP BY track_id
  UNION ALL
  SELECT 'track', track_id, now, stale FROM heard h
  WHERE NOT EXISTS (SELECT FROM "TrackPopularity" p WHERE p.id = h.track_id AND p.date > h.stale)
  UNION ALL
  SELECT 'artist', l.artist_id, h.now, h.stale FROM heard h JOIN "ArtistTracks" l USING (track_id)
  WHERE NOT EXISTS (
    SELECT FROM "ArtistPopularity" p WHERE p.id = l.artist_id AND p.date > h.stale
  )
  UNION ALL
  SELECT 'track', i.id, i.now, i.stale
  FROM unnest(%(incomplete)s::text[], %(incomplete_now)s::timestamptz[],
    %(incomplete_stale)s::timestamptz[]) i (id, now, stale)
)
INSERT INTO songswap.enrichment_queue AS q (kind, id, queued_at)
SELECT w.kind, w.id, min(w.now)
FROM wanted w LEFT JOIN songswap.enrichment_queue q ON q.kind = w.kind AND q.id = w.id
WHERE q.id IS NULL
  OR q.queued_at IS NULL AND (q.answered_at IS NULL OR q.known AND q.answered_at < w.stale)
GROUP BY w.kind, w.id
ORDER BY w.kind, w.id
ON CONFLICT (kind, id) DO UPDATE SET queued_at = EXCLUDED.queued_at
WHERE q.queued_at IS NULL
  AND (q.answered_at IS NULL OR q.known AND q.answered_at < %(latest_stale)s)

-- name: record
-- What came of requested ids, by the column that each alone sets: `known` for received ones, `misses` for those
-- that Spotify does not know, `not_before` for those that are postponed. Ids that are new here are queued.
--
-- Spotify misses ids at times that it knows. So an id stays queued after each of the waits, and is recorded as
-- unknown when it was missed once more than there are waits; two concurrent requests count as one. Nothing
-- is recorded of a track or artist that does not exist and was not queued.
INSERT INTO songswap.enrichment_queue AS q
  (kind, id, queued_at, not_before, answered_at, known, source, misses)
SELECT r.kind, r.id,
  CASE WHEN r.result IN ('new', 'missed') THEN %(now)s END,
  CASE r.result
    WHEN 'missed' THEN %(now)s + (%(waits)s::interval[])[1]
    WHEN 'postponed' THEN %(until)s
  END,
  CASE r.result WHEN 'received' THEN %(now)s END,
  CASE r.result WHEN 'received' THEN true END,
  CASE r.result WHEN 'received' THEN %(source)s END,
  CASE r.result WHEN 'missed' THEN 1 ELSE 0 END
FROM unnest(%(kinds)s::text[], %(ids)s::text[], %(results)s::text[]) r (kind, id, result)
WHERE EXISTS (SELECT FROM songswap.enrichment_queue k WHERE k.kind = r.kind AND k.id = r.id)
  OR CASE WHEN r.kind = 'artist' THEN EXISTS (SELECT FROM "Artists" a WHERE a.id = r.id)
     ELSE EXISTS (SELECT FROM "Tracks" t WHERE t.id = r.id) END
ORDER BY r.kind, r.id
ON CONFLICT (kind, id) DO UPDATE
SET (queued_at, not_before, answered_at, known, source, misses) = (
  SELECT
    CASE
      WHEN EXCLUDED.known THEN NULL
      WHEN EXCLUDED.misses = 0 THEN q.queued_at
      WHEN missed.wait IS NOT NULL THEN coalesce(q.queued_at, %(now)s)
    END,
    CASE
      WHEN EXCLUDED.known THEN NULL
      WHEN EXCLUDED.misses = 0 THEN EXCLUDED.not_before
      WHEN missed.wait IS NOT NULL THEN greatest(q.not_before, %(now)s + missed.wait)
    END,
    CASE
      WHEN EXCLUDED.known OR EXCLUDED.misses > 0 AND missed.wait IS NULL THEN %(now)s
      ELSE q.answered_at
    END,
    CASE
      WHEN EXCLUDED.known THEN true
      WHEN EXCLUDED.misses > 0 AND missed.wait IS NULL THEN false
      ELSE q.known
    END,
    CASE
      WHEN EXCLUDED.known OR EXCLUDED.misses > 0 AND missed.wait IS NULL THEN %(source)s
      ELSE q.source
    END,
    CASE WHEN EXCLUDED.known THEN 0 ELSE q.misses + EXCLUDED.misses END
  FROM (SELECT (%(waits)s::interval[])[q.misses + 1]) missed (wait)
)
WHERE EXCLUDED.known
  OR EXCLUDED.misses = 0 AND EXCLUDED.not_before IS NOT NULL
  OR EXCLUDED.misses = 1 AND (q.misses = 0 OR q.not_before IS NULL OR q.not_before <= %(now)s)
