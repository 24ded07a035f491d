"""The rows of the privacy export, made of what a listener heard."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec

from songswap.dev.simulator import draw, market, names
from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.ident import Ids
from songswap.dev.simulator.listener import Listener
from songswap.dev.simulator.listening import ListeningEvent

_SHIFTS = (0,) * 50 + (1,) * 6 + (-1,) * 4 + (2, -2, 2, 3)
"""By how many seconds `ts` differs from the API's time, indexed by six random bits."""
_2015, _2018, _2022, _2023 = 1_420_070_400, 1_514_764_800, 1_640_995_200, 1_672_531_200
_PLATFORMS = (
    ("iOS 12.4.1 (iPhone10,4)", "ios"),
    ("Android OS 9 API 28 (samsung, SM-G960F)", "android"),
    ("Windows 10 (10.0.19042; x64)", "windows"),
    ("OS X 10.15.7 [x86 8]", "osx"),
    ("WebPlayer (websocket RFC6455)", "web_player windows 10;chrome 119.0.0.0;desktop"),
    ("Partner google cast_tv;Chromecast;;tpapi", "cast"),
)
"""The names of each platform until 2021 and since."""
_AGENTS = ("unknown", "unknown", "Dalvik%2F2.1.0", None)
_START_REASONS = (
    "trackdone", "trackdone", "fwdbtn", "clickrow", "playbtn", "appload", "remote", "backbtn",
)  # fmt: skip
_BREAK_REASONS = (
    "endplay", "fwdbtn", "logout", "unexpected-exit", "remote", "backbtn", "endplay", "fwdbtn",
)  # fmt: skip
_SKIP_REASONS = ("fwdbtn", "fwdbtn", "fwdbtn", "backbtn")
_SILENT_REASONS = ("trackerror", "unknown", "fwdbtn", "")


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


class _Title(NamedTuple):
    """The names and URIs of a track, an episode or a chapter; those of the others are null."""

    track: str | None = None
    artist: str | None = None
    album: str | None = None
    track_uri: str | None = None
    episode: str | None = None
    show: str | None = None
    episode_uri: str | None = None
    book: str | None = None
    book_uri: str | None = None
    chapter_uri: str | None = None
    chapter: str | None = None


_UNNAMED = _Title()


class RowBuilder:
    """Builds a listener's rows."""

    def __init__(self, listener: Listener) -> None:
        rng = draw.stream(listener.seed, "export looks", listener.number)
        self.country = rng.choice(market.ALL)
        self._abroad = rng.choice(market.ALL)
        self._platforms = rng.sample(_PLATFORMS, 4)
        # The `ts` of an offline play: of some devices when they uploaded it, of others its end.
        self._reports_sync = [rng.random() < 0.6 for _ in self._platforms]
        self._ips = [f"203.0.113.{rng.randrange(256)}" for _ in range(8)]
        self._listener = listener
        self._ids = {kind: Ids(listener.seed, kind) for kind in ("episode", "audiobook", "chapter")}
        self._song = lru_cache(65_536)(self._make_song)
        self._episode = lru_cache(4_096)(self._make_episode)
        self._chapter = lru_cache(4_096)(self._make_chapter)

    def track_id(self, event: ListeningEvent) -> str | None:
        """Return the track id in the event's row, or None if it has none."""
        uri = self._title(event).track_uri
        return None if uri is None else uri.rpartition(":")[2]

    def second(self, event: ListeningEvent) -> int:
        """Return the `ts` of the event's row, in seconds since 1970: its end, or its upload."""
        ms = event.ended_at
        synced_at = event.synced_at
        if synced_at is not None and self._reports_sync[event.device] and _knows_start(event):
            ms = synced_at
        return ms // 1000 + _SHIFTS[event.bits & 63]

    def extended(self, event: ListeningEvent) -> ExtendedRow:
        """Return the row of the extended history."""
        second, bits = self.second(event), event.bits
        start, end = _reasons(event)
        return ExtendedRow(
            iso(second * 1000)[:19] + "Z",
            self._platform(second, event.device),
            event.ms_played,
            self.country if bits >> 9 & 63 else self._abroad,
            self._ips[bits >> 15 & 7],
            *self._title(event),
            start,
            end,
            bits >> 18 & 3 == 0,
            _skipped(event, second, end),
            event.synced_at is not None,
            _offline_timestamp(event, second),
            event.category == "private",
        )

    def endsong(self, event: ListeningEvent) -> dict[str, object]:
        """Return the row of the extended history in its older form."""
        row = msgspec.structs.asdict(self.extended(event))
        older = {"ts": row.pop("ts"), "username": self._listener.id}
        for field, value in row.items():
            if field == "ip_addr":
                agent = _AGENTS[event.bits >> 40 & 3]
                older |= {"ip_addr_decrypted": value, "user_agent_decrypted": agent}
            elif not field.startswith("audiobook"):
                older[field] = value
        return older

    def account(self, event: ListeningEvent) -> AccountRow:
        """Return the row of account data; an episode's show is its artist."""
        title = self._title(event)
        artist, track = title.artist or title.show, title.track or title.episode
        return AccountRow(
            self._minute(event),
            artist or "Unknown Artist",
            track or "Unknown Track",
            event.ms_played,
        )

    def podcast(self, event: ListeningEvent) -> PodcastRow:
        """Return the row of an episode in account data."""
        title = self._title(event)
        return PodcastRow(
            self._minute(event), title.show or "", title.episode or "", event.ms_played
        )

    def playlist_item(self, event: ListeningEvent) -> dict[str, object]:
        """Return the event's track as an item of a playlist."""
        title = self._title(event)
        track = {
            "trackName": title.track,
            "artistName": title.artist,
            "albumName": title.album,
            "trackUri": title.track_uri,
        }
        return {
            "track": track,
            "episode": None,
            "localTrack": None,
            "addedDate": self._minute(event)[:10],
        }

    def _platform(self, second: int, device: int) -> str:
        old, new = self._platforms[device]
        return old if second < _2022 else new

    def _minute(self, event: ListeningEvent) -> str:
        return iso(self.second(event) * 1000)[:16].replace("T", " ")

    def _title(self, event: ListeningEvent) -> _Title:
        match event.category:
            case "unnamed":
                return _UNNAMED
            case "episode":
                return self._episode(event.number)
            case "chapter":
                return self._chapter(event.number)
            case "video":
                return self._video(event)
            case _:
                return self._song(event.number)

    def _video(self, event: ListeningEvent) -> _Title:
        """Return a song for a quarter of videos, no name for another, else a podcast's episode."""
        drawn = event.bits >> 50 & 3
        if drawn == 0:
            return self._song(event.number % self._listener.catalogue.size)
        return _UNNAMED if drawn == 1 else self._episode(event.number)

    def _make_song(self, index: int) -> _Title:
        catalogue = self._listener.catalogue
        return _Title(*catalogue.names(index), f"spotify:track:{catalogue.track_id(index)}")

    def _make_episode(self, number: int) -> _Title:
        show = number % 97
        name = names.title(draw.stream(self._listener.seed, "episode", number))
        return _Title(
            episode=f"#{number}: {name}",
            show=names.artist(draw.stream(self._listener.seed, "show", show)),
            episode_uri=f"spotify:episode:{self._ids['episode'].of(number)}",
        )

    def _make_chapter(self, number: int) -> _Title:
        book = number % 41
        return _Title(
            book=names.title(draw.stream(self._listener.seed, "audiobook", book)),
            book_uri=f"spotify:show:{self._ids['audiobook'].of(book)}",
            chapter_uri=f"spotify:episode:{self._ids['chapter'].of(number)}",
            chapter=f"Chapter {number // 41 + 1}",
        )


def _reasons(event: ListeningEvent) -> tuple[str, str]:
    """Return why it began and why it ended."""
    start, drawn = _START_REASONS[event.bits >> 20 & 7], event.bits >> 23 & 7
    if event.category == "skip":
        return start, _SKIP_REASONS[drawn & 3]
    if event.category == "silent":
        return start, _SILENT_REASONS[drawn & 3]
    return start, _BREAK_REASONS[drawn] if event.bits >> 26 & 7 == 0 else "trackdone"


def _skipped(event: ListeningEvent, second: int, end: str) -> bool | None:
    """Return whether it was skipped; null before 2015, and before 2022 if it was not skipped."""
    if second < _2015 or event.bits >> 29 & 31 == 0:
        return None
    if end in ("fwdbtn", "backbtn"):
        return True
    return False if second >= _2022 else None


def _offline_timestamp(event: ListeningEvent, second: int) -> int | None:
    """Return its start: in ms before 2023, then in seconds; a few rows have null or 0.

    Before 2018 only offline plays have one. Of these one in 16 has the end instead of the start.
    """
    drawn = event.bits >> 34 & 15
    if drawn == 0:
        return None
    if drawn == 1 or (event.synced_at is None and second < _2018):
        return 0
    ms = event.ended_at if drawn == 2 and event.synced_at else event.started_at
    return ms if second < _2023 else ms // 1000


def _knows_start(event: ListeningEvent) -> bool:
    """Return whether `offline_timestamp` is the start of an offline play."""
    return event.bits >> 34 & 15 > 2
