"""The shapes of the rows of an export, and which file holds which, by its name."""

import re
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a file of an export holds, by its name."""

    EXTENDED = "extended"
    ACCOUNT = "account"
    VIDEO = "video"
    PODCAST = "podcast"
    AUDIOBOOK = "audiobook"
    OWNER = "owner"


_NAMES = (
    (Kind.EXTENDED, r"Streaming_History_Audio_.*|endsong_\d+"),
    (Kind.VIDEO, r"Streaming_History_Video_.*"),
    (Kind.ACCOUNT, r"StreamingHistory(_music_)?\d+"),
    (Kind.PODCAST, r"StreamingHistory_podcast_\d+"),
    (Kind.AUDIOBOOK, r"StreamingHistory_audiobook_\d+"),
    (Kind.OWNER, r"Userdata"),
)
# A browser that saves a file twice adds a number to the second one's name.
_KINDS = [(kind, re.compile(rf"(?:{name})(?: ?\(\d+\))?\.json")) for kind, name in _NAMES]


def kind_of(name: str) -> Kind | None:
    """What a file holds, by its name without folders; None where an import has no use for it."""
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(name)), None)


class Entry(msgspec.Struct, gc=False, omit_defaults=True):
    """A row of the extended streaming history; ``username`` alone is read without being kept."""

    ts: str | float | None = None
    platform: str | None = None
    ms_played: int | None = None
    conn_country: str | None = None
    master_metadata_track_name: str | None = None
    master_metadata_album_artist_name: str | None = None
    master_metadata_album_album_name: str | None = None
    spotify_track_uri: str | None = None
    episode_name: str | None = None
    episode_show_name: str | None = None
    spotify_episode_uri: str | None = None
    audiobook_title: str | None = None
    audiobook_uri: str | None = None
    audiobook_chapter_uri: str | None = None
    audiobook_chapter_title: str | None = None
    reason_start: str | None = None
    reason_end: str | None = None
    shuffle: bool | None = None
    skipped: bool | None = None
    offline: bool | None = None
    offline_timestamp: str | float | None = None
    incognito_mode: bool | None = None
    username: str | None = None


class AccountEntry(msgspec.Struct, gc=False, omit_defaults=True):
    """A row of the account data's streaming history."""

    endTime: str | float | None = None
    artistName: str | None = None
    trackName: str | None = None
    msPlayed: int | None = None
