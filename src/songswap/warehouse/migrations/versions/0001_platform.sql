-- The platform's tables, as its contract gives them. The web app may have made any of them before:
-- those are left as they are, and an index is only added to a table that is made here.

DO $$
BEGIN

IF to_regclass('"Users"') IS NULL THEN
  CREATE TABLE "Users" (
    id serial PRIMARY KEY,
    username varchar(20) NOT NULL,
    email varchar(120) NOT NULL UNIQUE,
    spotify_id varchar(120) NOT NULL UNIQUE
  );
END IF;

IF to_regclass('"SpotifyTokens"') IS NULL THEN
  CREATE TABLE "SpotifyTokens" (
    id integer PRIMARY KEY REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
    access_token varchar(256) NOT NULL UNIQUE,
    refresh_token varchar(256) NOT NULL UNIQUE
  );
END IF;

IF to_regclass('"Artists"') IS NULL THEN
  CREATE TABLE "Artists" (
    id varchar(24) PRIMARY KEY,
    name varchar(120) NOT NULL
  );
END IF;

IF to_regclass('"Tracks"') IS NULL THEN
  CREATE TABLE "Tracks" (
    id varchar(24) PRIMARY KEY,
    name varchar(240) NOT NULL,
    duration_ms integer NOT NULL
  );
  -- What the platform adds up and shows of a track is read from the index alone.
  CREATE UNIQUE INDEX "Tracks_id_covering" ON "Tracks" (id) INCLUDE (duration_ms, name);
END IF;

IF to_regclass('"ArtistTracks"') IS NULL THEN
  CREATE TABLE "ArtistTracks" (
    track_id varchar(24) NOT NULL REFERENCES "Tracks" ON DELETE CASCADE ON UPDATE CASCADE,
    artist_id varchar(24) NOT NULL REFERENCES "Artists" ON DELETE CASCADE ON UPDATE CASCADE,
    is_primary boolean NOT NULL,
    -- A track's artists, and who of them is the first, are read from the key alone.
    PRIMARY KEY (track_id, artist_id) INCLUDE (is_primary)
  );
  CREATE INDEX "ArtistTracks_artist_id" ON "ArtistTracks" (artist_id);
END IF;

IF to_regclass('"History"') IS NULL THEN
  CREATE TABLE "History" (
    user_id integer NOT NULL REFERENCES "Users" ON DELETE CASCADE ON UPDATE CASCADE,
    played_at timestamp NOT NULL,
    track_id varchar(24) NOT NULL REFERENCES "Tracks" ON DELETE CASCADE ON UPDATE CASCADE,
    -- With the track in it, a user's plays are read from the key alone.
    PRIMARY KEY (user_id, played_at) INCLUDE (track_id)
  );
  CREATE INDEX "History_track_id" ON "History" (track_id);
END IF;

IF to_regclass('"TrackPopularity"') IS NULL THEN
  CREATE TABLE "TrackPopularity" (
    id varchar(24) NOT NULL REFERENCES "Tracks" ON DELETE CASCADE ON UPDATE CASCADE,
    date timestamp NOT NULL,
    popularity integer NOT NULL,
    PRIMARY KEY (id, date)
  );
END IF;

IF to_regclass('"TrackFeatures"') IS NULL THEN
  CREATE TABLE "TrackFeatures" (
    id varchar(24) PRIMARY KEY REFERENCES "Tracks" ON DELETE CASCADE ON UPDATE CASCADE,
    acousticness float NOT NULL,
    danceability float NOT NULL,
    energy float NOT NULL,
    instrumentalness float NOT NULL,
    key integer NOT NULL,
    liveness float NOT NULL,
    loudness float NOT NULL,
    mode integer NOT NULL,
    speechiness float NOT NULL,
    tempo float NOT NULL,
    time_signature integer NOT NULL,
    valence float NOT NULL
  );
END IF;

IF to_regclass('"TrackImages"') IS NULL THEN
  CREATE TABLE "TrackImages" (
    id varchar(24) NOT NULL REFERENCES "Tracks" ON DELETE CASCADE ON UPDATE CASCADE,
    height integer NOT NULL,
    width integer NOT NULL,
    url varchar(240) NOT NULL,
    PRIMARY KEY (id, height, width)
  );
  -- The widest image of a track, which is the one shown, is found without sorting.
  CREATE INDEX songswap_track_images_id_width ON "TrackImages" (id, width);
END IF;

IF to_regclass('"TrackPreviews"') IS NULL THEN
  CREATE TABLE "TrackPreviews" (
    id varchar(24) PRIMARY KEY REFERENCES "Tracks" ON DELETE CASCADE ON UPDATE CASCADE,
    url varchar(240) NOT NULL
  );
END IF;

IF to_regclass('"ArtistImages"') IS NULL THEN
  CREATE TABLE "ArtistImages" (
    id varchar(24) NOT NULL REFERENCES "Artists" ON DELETE CASCADE ON UPDATE CASCADE,
    height integer NOT NULL,
    width integer NOT NULL,
    url varchar(240) NOT NULL,
    PRIMARY KEY (id, height, width)
  );
END IF;

IF to_regclass('"ArtistPopularity"') IS NULL THEN
  CREATE TABLE "ArtistPopularity" (
    id varchar(24) NOT NULL REFERENCES "Artists" ON DELETE CASCADE ON UPDATE CASCADE,
    date timestamp NOT NULL,
    popularity integer NOT NULL,
    PRIMARY KEY (id, date)
  );
END IF;

IF to_regclass('"ArtistGenres"') IS NULL THEN
  CREATE TABLE "ArtistGenres" (
    id varchar(24) NOT NULL REFERENCES "Artists" ON DELETE CASCADE ON UPDATE CASCADE,
    genre varchar(120) NOT NULL,
    PRIMARY KEY (id, genre)
  );
END IF;

IF to_regclass('"ArtistFollowers"') IS NULL THEN
  CREATE TABLE "ArtistFollowers" (
    id varchar(24) NOT NULL REFERENCES "Artists" ON DELETE CASCADE ON UPDATE CASCADE,
    date timestamp NOT NULL,
    followers integer NOT NULL,
    PRIMARY KEY (id, date)
  );
END IF;

END $$;
