"""The rows of the privacy export, in each of its forms."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec

from songswap.dev.simulator import draw, market, names
from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.heard import Heard
from songswap.dev.simulator.ident import Ids
from songswap.dev.simulator.listener import Listener

_SHIFTS = (0,) * 50 + (1,) * 6 + (-1,) * 4 + (2, -2, 2, 3)
"""How many seconds `ts` lies beside the API's time, by six bits of a row's look."""
_2015, _2018, _2022, _2023 = 1_420_070_400, 1_514_764_800, 1_640_995_200, 1_672_531_200
_PLATFORMS = (
    ("iOS 12.4.1 (iPhone10,4)", "ios"),
    ("Android OS 9 API 28 (samsung, SM-G960F)", "android"),
    ("Windows 10 (10.0.19042; x64)", "windows"),
    ("OS X 10.15.7 [x86 8]", "osx"),
    ("WebPlayer (websocket RFC6455)", "web_player windows 10;chrome 119.0.0.0;desktop"),
    ("Partner google cast_tv;Chromecast;;tpapi", "cast"),
)
_AGENTS = ("unknown", "unknown", "Dalvik%2F2.1.0", None)
_STARTS = (
    "trackdone",
    "trackdone",
    "fwdbtn",
    "clickrow",
    "playbtn",
    "appload",
    "remote",
    "backbtn",
)
_BREAKS = (
    "endplay",
    "fwdbtn",
    "logout",
    "unexpected-exit",
    "remote",
    "backbtn",
    "endplay",
    "fwdbtn",
)
_SKIP_ENDS = ("fwdbtn", "fwdbtn", "fwdbtn", "backbtn")
_NOTHING_ENDS = ("trackerror", "unknown", "fwdbtn", "")


class Extended(msgspec.Struct, gc=False):
    """A row of the extended streaming history. `ts` is when it ended, in whole seconds."""

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


class Endsong(msgspec.Struct, gc=False):
    """A row of the extended streaming history as it was."""

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


class Account(msgspec.Struct, rename="camel", gc=False):
    """A row of the account data's music. `end_time` is to the minute."""

    end_time: str
    artist_name: str
    track_name: str
    ms_played: int


class Podcast(msgspec.Struct, rename="camel", gc=False):
    """A row of the account data's podcasts."""

    end_time: str
    podcast_name: str
    episode_name: str
    ms_played: int


class _Title(NamedTuple):
    """What was heard; each is null where it is something else."""

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


class Rows:
    """Makes one listener's rows of what was heard."""

    def __init__(self, listener: Listener) -> None:
        rng = draw.stream(listener.seed, "export looks", listener.number)
        self.country = rng.choice(market.ALL)
        self._abroad = rng.choice(market.ALL)
        self._platforms = rng.sample(_PLATFORMS, 4)
        # Of a phone that was offline some say when it was online again, others when a play ended.
        self._tells_sync = [rng.random() < 0.6 for _ in self._platforms]
        self._ips = [f"203.0.113.{rng.randrange(256)}" for _ in range(8)]
        self._listener = listener
        self._ids = {
            kind: Ids(listener.seed, kind) for kind in ("episode", "show", "audiobook", "chapter")
        }
        self._song = lru_cache(65_536)(self._make_song)
        self._episode = lru_cache(4_096)(self._make_episode)
        self._chapter = lru_cache(4_096)(self._make_chapter)

    def track_id(self, row: Heard) -> str | None:
        """Return the id of the track that was heard, None where the row tells of none."""
        uri = self._title(row).track_uri
        return None if uri is None else uri.rpartition(":")[2]

    def extended(self, row: Heard) -> Extended:
        """Return the row in today's form."""
        second, look = self.second(row), row.look
        start, end = _reasons(row)
        return Extended(
            _ts(second),
            self._platform(second, row.device),
            row.ms_played,
            self.country if look >> 9 & 63 else self._abroad,
            self._ips[look >> 15 & 7],
            *self._title(row),
            start,
            end,
            look >> 18 & 3 == 0,
            _skipped(row, second, end),
            row.synced_at is not None,
            _offline_timestamp(row, second),
            row.what == "private",
        )

    def endsong(self, row: Heard) -> Endsong:
        """Return the row in the form of some years ago."""
        new = self.extended(row)
        return Endsong(
            ts=new.ts,
            username=self._listener.id,
            platform=new.platform,
            ms_played=new.ms_played,
            conn_country=new.conn_country,
            ip_addr_decrypted=new.ip_addr,
            user_agent_decrypted=_AGENTS[row.look >> 40 & 3],
            master_metadata_track_name=new.master_metadata_track_name,
            master_metadata_album_artist_name=new.master_metadata_album_artist_name,
            master_metadata_album_album_name=new.master_metadata_album_album_name,
            spotify_track_uri=new.spotify_track_uri,
            episode_name=new.episode_name,
            episode_show_name=new.episode_show_name,
            spotify_episode_uri=new.spotify_episode_uri,
            reason_start=new.reason_start,
            reason_end=new.reason_end,
            shuffle=new.shuffle,
            skipped=new.skipped,
            offline=new.offline,
            offline_timestamp=new.offline_timestamp,
            incognito_mode=new.incognito_mode,
        )

    def second(self, row: Heard) -> int:
        """Return the row's `ts`, in seconds since 1970: its end, or its upload by some phones."""
        told = row.ended_at
        if row.synced_at is not None and self._tells_sync[row.device] and _knows_start(row):
            told = row.synced_at
        return told // 1000 + _SHIFTS[row.look & 63]

    def account(self, row: Heard) -> Account:
        """Return the row as account data has it; a show stands in the artist's place."""
        title = self._title(row)
        artist, track = title.artist or title.show, title.track or title.episode
        return Account(
            self._minute(row), artist or "Unknown Artist", track or "Unknown Track", row.ms_played
        )

    def podcast(self, row: Heard) -> Podcast:
        """Return the row of an episode as account data has it."""
        title = self._title(row)
        return Podcast(self._minute(row), title.show or "", title.episode or "", row.ms_played)

    def listed(self, row: Heard) -> dict[str, object]:
        """Return the track of a row as it stands in a playlist."""
        title = self._title(row)
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
            "addedDate": self._minute(row)[:10],
        }

    def _minute(self, row: Heard) -> str:
        return iso(self.second(row) * 1000)[:16].replace("T", " ")

    def _platform(self, second: int, device: int) -> str:
        old, new = self._platforms[device]
        return old if second < _2022 else new

    def _title(self, row: Heard) -> _Title:
        match row.what:
            case "unnamed":
                return _UNNAMED
            case "episode":
                return self._episode(row.number)
            case "chapter":
                return self._chapter(row.number)
            case "video":
                return self._video(row)
            case _:
                return self._song(row.number)

    def _video(self, row: Heard) -> _Title:
        """Return a video podcast's episode, a song's video, or nothing at all."""
        kind = row.look >> 50 & 3
        if kind == 0:
            return self._song(row.number % self._listener.catalogue.size)
        return _UNNAMED if kind == 1 else self._episode(row.number)

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


def _ts(second: int) -> str:
    return iso(second * 1000)[:19] + "Z"


def _reasons(row: Heard) -> tuple[str, str]:
    start, drawn = _STARTS[row.look >> 20 & 7], row.look >> 23 & 7
    if row.what == "skip":
        return start, _SKIP_ENDS[drawn & 3]
    if row.what == "nothing":
        return start, _NOTHING_ENDS[drawn & 3]
    return start, _BREAKS[drawn] if row.look >> 26 & 7 == 0 else "trackdone"


def _skipped(row: Heard, second: int, end: str) -> bool | None:
    """Return whether it was skipped: only the last years tell that it was not."""
    if second < _2015 or row.look >> 29 & 31 == 0:
        return None
    if end in ("fwdbtn", "backbtn"):
        return True
    return False if second >= _2022 else None


def _offline_timestamp(row: Heard, second: int) -> int | None:
    """Return when it began: by era 0, milliseconds or seconds; and now and then 0 or null.

    A phone that was offline knows it, but for some rows, where it is null, 0 or the end.
    """
    drawn = row.look >> 34 & 15
    if drawn == 0:
        return None
    if drawn == 1 or (row.synced_at is None and second < _2018):
        return 0
    began = row.ended_at if drawn == 2 and row.synced_at else row.started_at
    return began if second < _2023 else began // 1000


def _knows_start(row: Heard) -> bool:
    return row.look >> 34 & 15 > 2
