-- All that is stored of a user, to be handed over to the user. Each statement reads by keys, and in the
-- order of its file. Tokens and their digests are never selected.

-- name: user
SELECT id, username, email, spotify_id FROM "Users" WHERE id = %(user_id)s

-- name: grant
SELECT state, authorized_at,
  (authorized_at AT TIME ZONE 'UTC' + interval '6 months') AT TIME ZONE 'UTC' AS ends_at,
  refreshed_at, ask_again_at, refused_in, refused_at, problem, warned_days, refusals, forbidden_runs,
  unanswered_at
FROM songswap.grants WHERE user_id = %(user_id)s

-- name: tokens
SELECT stored_at, expires_at, problem FROM songswap.tokens WHERE user_id = %(user_id)s

-- name: exchange
SELECT begun_at, claimed_until FROM songswap.token_exchanges WHERE user_id = %(user_id)s

-- name: poll
SELECT polled_at, answered_at, first_answered_at, newest_played_at, plays_per_hour, problem
FROM songswap.polls WHERE user_id = %(user_id)s

-- name: disconnect
SELECT reason, since, due_at FROM songswap.disconnects WHERE user_id = %(user_id)s

-- name: erasures
SELECT requested_at, reason, keeps_account, ended_at, renewed_at
FROM songswap.erasures WHERE user_id = %(user_id)s ORDER BY requested_at

-- name: sizes
-- How many rows there are, for the progress.
SELECT (SELECT count(*) FROM "History" WHERE user_id = %(user_id)s) AS plays,
  (SELECT count(*) FROM songswap.streams WHERE user_id = %(user_id)s) AS streams

-- name: plays
-- OFFSET keeps the description of a track apart, to be looked up by its key alone.
SELECT h.played_at AT TIME ZONE 'UTC' AS played_at, h.track_id, d.track_name, d.artist_name,
  d.album_name, d.duration_ms
FROM "History" h
LEFT JOIN LATERAL (
  SELECT coalesce(nullif(t.name, ''), nullif(e.name, '')) AS track_name,
    coalesce(
      (SELECT string_agg(a.name, ', ' ORDER BY l.is_primary DESC, a.name COLLATE "C", a.id)
       FROM "ArtistTracks" l JOIN "Artists" a ON a.id = l.artist_id
       WHERE l.track_id = h.track_id AND a.name <> ''),
      nullif(e.artist, '')
    ) AS artist_name,
    nullif(e.album, '') AS album_name,
    CASE WHEN x.id IS NULL THEN nullif(t.duration_ms, 0) END AS duration_ms
  FROM (VALUES (h.track_id)) k (id)
  LEFT JOIN "Tracks" t ON t.id = k.id
  LEFT JOIN songswap.export_tracks e ON e.id = k.id
  LEFT JOIN songswap.estimated_durations x ON x.id = k.id
  OFFSET 0
) d ON true
WHERE h.user_id = %(user_id)s
ORDER BY h.played_at

-- name: stream_of_play
-- The streams that are plays, in the order of these.
SELECT played_at AT TIME ZONE 'UTC' AS played_at, outcome, ms_played
FROM songswap.streams
WHERE user_id = %(user_id)s AND played_at IS NOT NULL
ORDER BY played_at, outcome

-- name: tracks
SELECT u.id, coalesce(nullif(t.name, ''), nullif(e.name, '')) AS name,
  coalesce(
    (SELECT a.name FROM "ArtistTracks" l JOIN "Artists" a ON a.id = l.artist_id
     WHERE l.track_id = u.id AND l.is_primary AND a.name <> '' ORDER BY a.id LIMIT 1),
    nullif(e.artist, '')
  ) AS artist_name,
  nullif(e.album, '') AS album_name,
  nullif(coalesce(t.duration_ms, e.duration_ms), 0) AS duration_ms,
  (t.id IS NULL OR x.id IS NOT NULL) AND coalesce(t.duration_ms, e.duration_ms, 0) > 0
    AS duration_is_estimated,
  coalesce(
    (SELECT jsonb_agg(
       jsonb_build_object('id', a.id, 'name', a.name, 'is_primary', l.is_primary)
       ORDER BY l.is_primary DESC, a.id)
     FROM "ArtistTracks" l JOIN "Artists" a ON a.id = l.artist_id WHERE l.track_id = u.id),
    '[]'
  ) AS artists
FROM (
  SELECT track_id AS id FROM "History" WHERE user_id = %(user_id)s
  UNION
  SELECT track_id FROM songswap.streams WHERE user_id = %(user_id)s AND track_id IS NOT NULL
) u
LEFT JOIN "Tracks" t ON t.id = u.id
LEFT JOIN songswap.export_tracks e ON e.id = u.id
LEFT JOIN songswap.estimated_durations x ON x.id = u.id
ORDER BY u.id

-- name: artists
SELECT DISTINCT a.id, a.name
FROM (
  SELECT track_id AS id FROM "History" WHERE user_id = %(user_id)s
  UNION
  SELECT track_id FROM songswap.streams WHERE user_id = %(user_id)s AND track_id IS NOT NULL
) u
JOIN "ArtistTracks" l ON l.track_id = u.id
JOIN "Artists" a ON a.id = l.artist_id
ORDER BY a.id

-- name: streams
SELECT s.ended_at, s.ms_played, s.played_at AT TIME ZONE 'UTC' AS played_at, s.outcome,
  s.to_the_minute, s.track_id, s.shuffle, s.skipped, s.offline, s.incognito, s.reason_start,
  s.reason_end, s.platform, s.country, coalesce(s.track_name, e.name) AS track_name,
  coalesce(s.artist_name, e.artist) AS artist_name, nullif(e.album, '') AS album_name,
  s.reported_at
FROM songswap.streams s LEFT JOIN songswap.export_tracks e ON e.id = s.track_id
WHERE s.user_id = %(user_id)s
ORDER BY s.ended_at, s.ms_played, s.place

-- name: gaps
SELECT after, before, found_at, closed_at FROM songswap.gaps
WHERE user_id = %(user_id)s ORDER BY before

-- name: imports
SELECT import_id, started_at, ended_at, raw_keys, counts FROM songswap.imports
WHERE user_id = %(user_id)s ORDER BY started_at, import_id

-- name: rejected_items
SELECT reason, played_at, found_at, raw_key FROM songswap.rejected_items
WHERE user_id = %(user_id)s ORDER BY found_at, fingerprint
