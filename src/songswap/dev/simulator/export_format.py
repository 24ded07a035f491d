"""The rows of the privacy export's files, field by field as Spotify writes them."""

from __future__ import annotations

import msgspec


class ExtendedRow(msgspec.Struct, gc=False):
    """A row of the extended streaming history. `ts` is its end, in whole seconds."""

    ts: str
    platform: str
    ms_played: int
    conn_country: str
    ip_addr: str
    master_metadata_track_name: str | None
    master_metadata_album_artist_name: str | None
    master_metadata_album_album_name: str | None
    spotify_track_uri: str | None
    episode_name: str | None
    episode_show_name: str | None
    spotify_episode_uri: str | None
    audiobook_title: str | None
    audiobook_uri: str | None
    audiobook_chapter_uri: str | None
    audiobook_chapter_title: str | None
    reason_start: str
    reason_end: str
    shuffle: bool
    skipped: bool | None
    offline: bool
    offline_timestamp: int | None
    incognito_mode: bool


class EndsongRow(msgspec.Struct, gc=False):
    """A row of the extended streaming history in its older form."""

    ts: str
    username: str
    platform: str
    ms_played: int
    conn_country: str
    ip_addr_decrypted: str
    user_agent_decrypted: str | None
    master_metadata_track_name: str | None
    master_metadata_album_artist_name: str | None
    master_metadata_album_album_name: str | None
    spotify_track_uri: str | None
    episode_name: str | None
    episode_show_name: str | None
    spotify_episode_uri: str | None
    reason_start: str
    reason_end: str
    shuffle: bool
    skipped: bool | None
    offline: bool
    offline_timestamp: int | None
    incognito_mode: bool


class AccountRow(msgspec.Struct, rename="camel", gc=False):
    """A row of the account data's music. `end_time` is to the minute."""

    end_time: str
    artist_name: str
    track_name: str
    ms_played: int


class PodcastRow(msgspec.Struct, rename="camel", gc=False):
    """A row of the account data's podcasts."""

    end_time: str
    podcast_name: str
    episode_name: str
    ms_played: int
