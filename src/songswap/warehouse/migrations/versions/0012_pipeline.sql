CREATE TABLE songswap.catalogue_shards (
  shard smallint PRIMARY KEY,
  version bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE songswap.catalogue_shards IS
  'Tracks by the CRC-32 of their id, modulo 64. Whoever adds or changes rows of tracks locks the
rows of their shards, in order, by adding one to version.';
INSERT INTO songswap.catalogue_shards (shard) SELECT generate_series(0, 63);

CREATE TABLE songswap.spools (
  spool_id uuid PRIMARY KEY,
  host text NOT NULL,
  seen_at timestamptz NOT NULL,
  waiting_for_s3 integer NOT NULL DEFAULT 0,
  waiting_for_warehouse integer NOT NULL DEFAULT 0,
  waiting_tokens integer NOT NULL DEFAULT 0,
  waiting_since timestamptz,
  problem text
);
COMMENT ON TABLE songswap.spools IS
  'What waits in the spool of each host, by its last report, without what batches in progress are
working on.';
COMMENT ON COLUMN songswap.spools.seen_at IS 'When it last reported, by the server''s clock.';
COMMENT ON COLUMN songswap.spools.waiting_since IS
  'When the oldest response that waits came, or which report was the first with the tokens that wait;
NULL where nothing does.';

ALTER TABLE songswap.token_exchanges ADD COLUMN spool_id uuid;
COMMENT ON COLUMN songswap.token_exchanges.spool_id IS
  'The spool of the host that sends the token: its successor may be there. NULL: it is not.';

CREATE TABLE songswap.cut_off_exchanges (
  user_id integer REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
  holder bigint,
  refresh_digest bytea NOT NULL,
  spool_id uuid NOT NULL,
  PRIMARY KEY (user_id, holder)
);
CREATE INDEX cut_off_exchanges_of_spool ON songswap.cut_off_exchanges (spool_id);
COMMENT ON TABLE songswap.cut_off_exchanges IS
  'Refresh tokens (by their SHA-256) that were sent to Spotify by a process whose claim expired and
was taken over: their successor may be in that host''s spool, until it is drained or forgotten.';

CREATE FUNCTION songswap.possibly_spooled() RETURNS TABLE (user_id integer, spool_id uuid)
LANGUAGE sql STABLE AS $$
  SELECT e.user_id, p.spool_id
  FROM (
    SELECT user_id, refresh_digest, spool_id FROM songswap.cut_off_exchanges
    UNION
    SELECT user_id, refresh_digest, spool_id FROM songswap.token_exchanges
  ) e
  JOIN songswap.spools p ON p.spool_id = e.spool_id
  JOIN songswap.current_tokens() c
    ON c.user_id = e.user_id AND sha256(c.refresh_token) = e.refresh_digest
$$;
COMMENT ON FUNCTION songswap.possibly_spooled IS
  'Users whose current token was sent by a host that may have its successor in its spool.';

CREATE FUNCTION songswap.users_to_poll(moment timestamptz DEFAULT now())
RETURNS TABLE (
  user_id integer, polled_at timestamptz, answered_at timestamptz, plays_per_hour real,
  waits_since timestamptz
)
LANGUAGE sql STABLE AS $$
  SELECT u.id,
    CASE WHEN p.polled_at BETWEEN g.authorized_at AND users_to_poll.moment THEN p.polled_at END,
    CASE
      WHEN p.answered_at > users_to_poll.moment THEN users_to_poll.moment - interval '1 hour'
      ELSE p.answered_at
    END,
    p.plays_per_hour, coalesce(p.answered_at, g.authorized_at)
  FROM "Users" u
  JOIN "SpotifyTokens" t ON t.id = u.id AND t.refresh_token IS NOT NULL
  LEFT JOIN songswap.grants g
    ON g.user_id = u.id AND g.refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
  LEFT JOIN songswap.polls p ON p.user_id = u.id
  WHERE ((g.state IN ('revoked', 'lost') OR g.state = 'forbidden' AND g.refused_in IS NULL)
    AND coalesce(g.ask_again_at, 'infinity') > users_to_poll.moment) IS NOT TRUE
$$;
COMMENT ON FUNCTION songswap.users_to_poll IS
  'Users who can be polled: with tokens, and without a grant that is dead or forbidden for now.
polled_at is NULL where they were not polled since they authorized. A time in the future comes of a
wrong clock: polled_at is NULL then, answered_at an hour ago.
waits_since: their last response, or their authorization where there was none.';

CREATE FUNCTION songswap.limit_of_day(
  learned integer, learned_at timestamptz, moment timestamptz DEFAULT now()
)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN days < 30 THEN ceil(learned * power(1.01, days * days))::bigint END
  FROM (SELECT greatest(extract(epoch FROM moment - learned_at) / 86400, 0)::float AS days) since
$$;
COMMENT ON FUNCTION songswap.limit_of_day IS
  'The limit of a day as it is taken for true: without a refusal more is tried, a hundredth more after
a day, a quarter after five, twice as much after eight, anything (NULL) after thirty.';
