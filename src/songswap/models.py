"""The rows that flow through the pipeline, and what one response holds of them.

A response has three shapes: `songswap.spotify.client.Response` as HTTP gave it,
`songswap.storage.records.RawResponse` with its user and key, and
`songswap.warehouse.plays.ParsedResponse` with its `RecentPlays`.

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
    """A row of ``"Tracks"``; a missing duration is 0, with a `DataFix`."""

    id: str
    name: str
    duration_ms: int


class Artist(NamedTuple):
    """A row of ``"Artists"``; a missing name is empty, with a `DataFix`."""

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
    """A row of a user's export: a track was played. Fields that the row lacks are None.

    ``ended_at`` is exact to the second, or with ``to_the_minute`` the beginning of the minute;
    ``ms_played`` does not count pauses. Account data and local files have no ``track_id``. ``nth``
    numbers, from 0, streams that are equal to the minute. ``reported_at`` is the row's own time
    where the phone was offline and the start is known: ``ended_at`` is then the earliest end.
    ``played_at`` is the time of its play in the warehouse that handed the row over; None for rows
    of Spotify's, and for those that were no play there.
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
    played_at: datetime | None = None

    @property
    def started_at(self) -> datetime:
        """When it started, had it not been paused."""
        return self.ended_at - timedelta(milliseconds=self.ms_played)


class ExportTrack(NamedTuple):
    """A row of ``songswap.export_tracks``: what an export says of a track; without a name, nothing.

    ``duration_ms`` is 0 where it says none.
    """

    id: str
    name: str | None = None
    artist: str = ""
    album: str = ""
    duration_ms: int = 0


class RejectedItem(NamedTuple):
    """An item that cannot be a row, and why.

    ``fingerprint`` is the same for the same broken item in every response that repeats it, so that
    it is counted once. ``played_at`` is the item's own text, where it has one.
    """

    fingerprint: bytes
    reason: str
    played_at: str | None


class DataFix(NamedTuple):
    """A value that was cut, cleaned or left out of a row that is stored."""

    kind: str
    id: str
    field: str
    problem: str


@dataclass(slots=True)
class Catalogue:
    """The tracks and artists of responses; of two values the larger, in any order.

    Names and URLs are compared by their characters, a missing name or duration is the smallest.
    The first artist of a track's list is primary here: where lists differ, the warehouse chooses
    one, see `songswap.warehouse.catalogue`.

    ``track_popularity`` holds the first observation by track, UTC day and value. ``incomplete``
    are the tracks that no response had whole: a name, a duration, the artists, the images or the
    popularity is missing that a call for the track may return. ``forms`` has a checksum of each
    track's fields without its popularity, 0 where responses differ; ``last`` is the last entry of a
    track without a problem, so that equal entries are skipped at once.
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
    last: dict[str, object] = field(default_factory=dict, compare=False)


@dataclass(slots=True)
class RecentPlays:
    """The plays of one user in one response of recently played.

    ``oldest`` and ``newest`` bound the times of all items, rejected ones included; ``items`` counts
    them, readable or not. ``full`` means that there may have been older plays, for which it had no
    room; ``since`` is the time after which plays were requested, None without such a bound.
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
    """The rows of one response about tracks, artists or features, by the requested ids.

    ``received`` are the ids that the response has, and ``unknown`` those that Spotify does not
    know; an id in neither is unanswered. ``catalogue`` holds the rows of ``/tracks``, and the names
    of ``/artists``; the other rows are those of artists and features.
    """

    received: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    catalogue: Catalogue = field(default_factory=Catalogue)
    images: dict[tuple[str, int, int], Image] = field(default_factory=dict)
    popularity: list[Popularity] = field(default_factory=list)
    followers: list[Followers] = field(default_factory=list)
    genres: set[Genre] = field(default_factory=set)
    features: list[Features] = field(default_factory=list)
    data_fixes: set[DataFix] = field(default_factory=set)


class AuthorizedUser(NamedTuple):
    """A user who authorized the app, with the user's tokens."""

    spotify_id: str
    display_name: str | None
    email: str | None
    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        return "AuthorizedUser()"


class Tokens(NamedTuple):
    """The tokens that the accounts service returned.

    ``access_token`` is None where it is unusable: the user fails this time, and the refresh token
    has to be stored all the same. ``refresh_token`` is None when the old one stays valid; it may
    have any characters, also those that no database takes.
    """

    access_token: str | None
    refresh_token: str | None
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Tokens(expires_at={self.expires_at!r})"


class RotatedToken(NamedTuple):
    """Tokens received for ``old_refresh_token``, which the warehouse does not have yet."""

    user_id: int
    old_refresh_token: str
    access_token: str
    refresh_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        # Without the tokens: they must not reach a log.
        return f"RotatedToken(user_id={self.user_id}, expires_at={self.expires_at.isoformat()})"

    @property
    def old_digest(self) -> bytes:
        """The digest of the token that these replace."""
        return token_digest(self.old_refresh_token)

    def is_older_than(self, other: "RotatedToken") -> bool:
        """Return whether ``other``, of the same user, was issued later.

        A token that was issued for another one is later; where neither was, the one that expires
        later is.
        """
        if self.refresh_token != other.refresh_token:
            if self.refresh_token == other.old_refresh_token:
                return True
            if self.old_refresh_token == other.refresh_token:
                return False
        return self.expires_at < other.expires_at


class Successor(NamedTuple):
    """The last tokens of the chain of rotations that began with the token of the digest."""

    user_id: int
    old_digest: bytes
    access_token: str
    refresh_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Successor(user_id={self.user_id}, expires_at={self.expires_at.isoformat()})"


def token_digest(token: str) -> bytes:
    """Return the SHA-256 of a refresh token, for places that do not need the token itself."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
