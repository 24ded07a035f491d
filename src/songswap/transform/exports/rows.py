"""The shapes of the rows of an export."""

import msgspec


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
    podcastName: str | None = None
