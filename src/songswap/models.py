"""The rows that flow through the pipeline: what an answer holds, in the shape of the tables.

Each row is a named tuple whose fields are its table's columns, so that a loader can write it as it
is. Times are aware and in UTC; ``played_at`` is exact to the millisecond.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple


class Play(NamedTuple):
    """A row of ``"History"``."""

    user_id: int
    played_at: datetime
    track_id: str


class Track(NamedTuple):
    """A row of ``"Tracks"``; a missing duration is 0 and is noted."""

    id: str
    name: str
    duration_ms: int


class Artist(NamedTuple):
    """A row of ``"Artists"``; a missing name is empty and is noted."""

    id: str
    name: str


class ArtistTrack(NamedTuple):
    """A row of ``"ArtistTracks"``."""

    track_id: str
    artist_id: str
    is_primary: bool


class Popularity(NamedTuple):
    """A row of ``"TrackPopularity"`` or ``"ArtistPopularity"``: 0-100, when it was observed."""

    id: str
    date: datetime
    popularity: int


class Followers(NamedTuple):
    """A row of ``"ArtistFollowers"``."""

    id: str
    date: datetime
    followers: int


class Image(NamedTuple):
    """A row of ``"TrackImages"`` or ``"ArtistImages"``; height and width in pixels."""

    id: str
    height: int
    width: int
    url: str


class Preview(NamedTuple):
    """A row of ``"TrackPreviews"``."""

    id: str
    url: str


class Genre(NamedTuple):
    """A row of ``"ArtistGenres"``."""

    id: str
    genre: str


class Features(NamedTuple):
    """A row of ``"TrackFeatures"``: ratios 0-1, loudness in dB, tempo in BPM."""

    id: str
    acousticness: float
    danceability: float
    energy: float
    instrumentalness: float
    key: int
    liveness: float
    loudness: float
    mode: int
    speechiness: float
    tempo: float
    time_signature: int
    valence: float


class Stream(NamedTuple):
    """A play of a track as a user's export from Spotify tells it; None where it does not.

    ``ended_at`` is exact to the second, or the beginning of the minute in which it ended where
    ``to_the_minute``; ``ms_played`` does not count pauses. ``track_id`` is not told by account data
    and of local files. ``nth`` tells those apart, from 0, that are equal to the minute.
    ``reported_at`` is the row's time where the phone was offline and its start is known:
    ``ended_at`` is then the earliest end, and it was reported then.
    """

    ended_at: datetime
    ms_played: int
    track_id: str | None
    track_name: str | None = None
    artist_name: str | None = None
    album_name: str | None = None
    reason_start: str | None = None
    reason_end: str | None = None
    shuffle: bool | None = None
    skipped: bool | None = None
    offline: bool | None = None
    incognito: bool | None = None
    platform: str | None = None
    country: str | None = None
    to_the_minute: bool = False
    nth: int = 0
    reported_at: datetime | None = None

    @property
    def started_at(self) -> datetime:
        """When it began, if it was not paused."""
        return self.ended_at - timedelta(milliseconds=self.ms_played)


class RejectedItem(NamedTuple):
    """Something that cannot be a row, and why.

    ``fingerprint`` is the same for the same broken item in every answer that repeats it, so that it
    is counted once. ``played_at`` is the time it claims, as text, where it claims one.
    """

    fingerprint: bytes
    reason: str
    played_at: str | None


class DataFix(NamedTuple):
    """A part of a row that was cut, cleaned or left out, while the row itself is kept."""

    kind: str
    id: str
    field: str
    problem: str


@dataclass(slots=True)
class Catalogue:
    """What answers tell of tracks and artists; of two values the larger, whichever came first.

    Names and URLs are compared by their characters, a missing name or duration is the smallest.
    Each artist who was told first of a track's artists is primary here: which of several stands is
    decided where a track's rows come together, see `songswap.warehouse.catalogue`.

    ``track_popularity`` holds, of each track, UTC day and value, when it was observed first.
    ``incomplete`` are the tracks that no answer told whole: something is missing that a call for
    the track could still tell, a name, a duration, the artists, the images, the popularity.
    ``forms`` has a checksum of the form in which a track was told, its popularity aside, and 0
    where there were several; ``last`` is the form and popularity in which it was told last without
    a problem, so that what is told again and again is known at once.
    """

    tracks: dict[str, Track] = field(default_factory=dict)
    artists: dict[str, Artist] = field(default_factory=dict)
    artist_tracks: dict[tuple[str, str], ArtistTrack] = field(default_factory=dict)
    track_popularity: dict[tuple[str, date, int], Popularity] = field(default_factory=dict)
    track_images: dict[tuple[str, int, int], Image] = field(default_factory=dict)
    track_previews: dict[str, Preview] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)
    data_fixes: set[DataFix] = field(default_factory=set)
    forms: dict[str, int] = field(default_factory=dict, compare=False)
    last: dict[str, tuple[int, int | None]] = field(default_factory=dict, compare=False)


@dataclass(slots=True)
class RecentPlays:
    """What one answer of recently played holds for one user.

    ``oldest`` and ``newest`` bound every time that the answer names, set-aside items included;
    ``items`` counts what it listed, readable or not. ``full`` says that there may have been older
    plays which it could not hold; ``since`` is the moment after which it was asked for plays, None
    where there was no such bound.
    """

    items: int = 0
    full: bool = False
    plays: list[Play] = field(default_factory=list)
    rejected_items: list[RejectedItem] = field(default_factory=list)
    oldest: datetime | None = None
    newest: datetime | None = None
    since: datetime | None = None


@dataclass(slots=True)
class Metadata:
    """What an answer tells of the ids that it was asked for.

    ``told`` are the ids it speaks of and ``unknown`` those it says do not exist; an id in neither
    was not answered. ``catalogue`` carries what ``/tracks`` tells, and the names that ``/artists``
    does; the other rows are those of artists, and of features.
    """

    told: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    catalogue: Catalogue = field(default_factory=Catalogue)
    images: dict[tuple[str, int, int], Image] = field(default_factory=dict)
    popularity: list[Popularity] = field(default_factory=list)
    followers: list[Followers] = field(default_factory=list)
    genres: set[Genre] = field(default_factory=set)
    features: list[Features] = field(default_factory=list)
    data_fixes: set[DataFix] = field(default_factory=set)


class AuthorizedUser(NamedTuple):
    """Who authorized the app, and the tokens to ask for that user with."""

    spotify_id: str
    display_name: str | None
    email: str | None
    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        return "AuthorizedUser()"


class Tokens(NamedTuple):
    """What the accounts service gave.

    ``access_token`` is None where it gave none that can be used: the user fails this time, and the
    refresh token has to be stored all the same. ``refresh_token`` is None when the old one stays
    good; it may hold any characters, also such as no database takes.
    """

    access_token: str | None
    refresh_token: str | None
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Tokens(expires_at={self.expires_at!r})"


class RotatedToken(NamedTuple):
    """Tokens got for ``old_refresh_token`` that the warehouse could not store."""

    user_id: int
    old_refresh_token: str
    access_token: str
    refresh_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        # Without the tokens: whatever shows it is no place for them.
        return f"RotatedToken(user_id={self.user_id}, expires_at={self.expires_at.isoformat()})"

    @property
    def old_digest(self) -> bytes:
        """The digest of the token that these took the place of."""
        return token_digest(self.old_refresh_token)

    def is_older_than(self, other: "RotatedToken") -> bool:
        """Whether ``other``, of the same user, was given later.

        Who was given a refresh token for another one came after it; where neither was, the one that
        ends later did.
        """
        if self.refresh_token != other.refresh_token:
            if self.refresh_token == other.old_refresh_token:
                return True
            if self.old_refresh_token == other.refresh_token:
                return False
        return self.expires_at < other.expires_at


class Successor(NamedTuple):
    """The tokens that came, maybe over others, of the refresh token with the digest."""

    user_id: int
    old_digest: bytes
    access_token: str
    refresh_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Successor(user_id={self.user_id}, expires_at={self.expires_at.isoformat()})"


def token_digest(token: str) -> bytes:
    """The SHA-256 by which a refresh token is known where the token itself is not needed."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
