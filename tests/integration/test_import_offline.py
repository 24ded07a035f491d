"""Plays of offline phones, and rows that tell a play twice, are each play once at its own time."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import MakePlatform, Platform

from songswap.pipelines.import_export import import_export

LISTENER = "listener-0001"


def row(ended_at: datetime, track: str, **more: Any) -> dict[str, Any]:
    """A row of a track that was heard for 30 s."""
    return {
        "ts": f"{ended_at:%Y-%m-%dT%H:%M:%SZ}",
        "platform": "android",
        "ms_played": 30_000,
        "spotify_track_uri": f"spotify:track:{track}",
        "master_metadata_track_name": f"Song {track}",
        "master_metadata_album_artist_name": "Artist",
        "offline": False,
        "offline_timestamp": None,
        "incognito_mode": False,
        **more,
    }


def offline(ended_at: datetime, track: str) -> dict[str, Any]:
    """The same as a phone tells it that was online again hours later."""
    started = ended_at - timedelta(seconds=30)
    upload = ended_at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=9)
    return row(upload, track, offline=True, offline_timestamp=round(started.timestamp() * 1000))


def later(ended_at: datetime, track: str) -> dict[str, Any]:
    """The same once more, 3 s later."""
    return row(ended_at + timedelta(seconds=3), track)


def longer(ended_at: datetime, track: str) -> dict[str, Any]:
    """The same once more, 1 ms longer."""
    return row(ended_at, track, ms_played=30_001)


def history(platform: Platform) -> list[tuple[str, str]]:
    rows = platform.rows(
        'SELECT to_char(h.played_at, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'), h.track_id'
        ' FROM "History" h JOIN "Users" u ON u.id = h.user_id WHERE u.spotify_id = %s ORDER BY 1',
        LISTENER,
    )
    return list(rows)


@pytest.mark.parametrize("first", ["api", "export"])
@pytest.mark.parametrize("also", [offline, later, longer])
def test_each_play_once(
    make_platform: MakePlatform, tmp_path: Path, first: str, also: Callable[..., dict[str, Any]]
) -> None:
    """Whoever tells it first, in whatever rows: told by the API at its time, else at the export's,
    which is never when a phone was online again; imported again it stays so."""
    platform = make_platform("--epoch", "2026-11-15T00:00:00Z", users=1)
    ledger = [play for play in platform.spotify.ledger() if play["user"] == LISTENER]
    plays = [(datetime.fromisoformat(play["played_at"]), play["track_id"]) for play in ledger]
    assert len(plays) > 50
    rows = [also(*play) for play in plays]
    if also is not offline:
        rows += [row(*play) for play in plays]
    (tmp_path / "Streaming_History_Audio_2026.json").write_text(json.dumps(rows))

    def import_once() -> dict[str, int]:
        platform.runs += 1
        user = platform.user_id(LISTENER)
        return import_export(
            platform.settings, user, [tmp_path], f"{platform.runs}", lambda *_: None, platform.clock
        )

    if first == "api":
        platform.load()
        import_once()
    else:
        counts = import_once()
        assert counts["loaded"] == len(plays)
        assert counts.get("repeated", 0) == len(rows) - len(plays)
        platform.load()

    result = {(at, track) for _, at, track in platform.reachable()}
    expected = {
        (at if (at, track) in result else f"{at[:19]}.000Z", track)
        for at, track in ((play["played_at"], play["track_id"]) for play in ledger)
    }
    found = history(platform)
    assert len(found) == len(ledger)
    assert {(seconds(at), track) for at, track in found} == {
        (seconds(at), track) for at, track in expected
    }
    assert {one for one in found if one in result} == result
    again = import_once()
    assert again["duplicates"] == again["rows"]
    platform.load()
    assert history(platform) == found


def seconds(at: str) -> str:
    return at[:19]
