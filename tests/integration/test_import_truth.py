"""Imports held against the truth: the simulator knows which row of an export is which play."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from songswap.importing import import_export
from songswap.local.loopback import call

USERS = 5
Make = Callable[..., Any]


def export_of(here: Any, listener: str, kind: str) -> tuple[bytes, list[dict[str, Any]]]:
    """A listener's zip, and its rows, each with the play that it is."""
    address = f"{here.spotify.url}/admin/listeners/{listener}/export"
    what = f"kind={kind}&rows_a_file=400"
    zipped = call("GET", f"{address}?{what}")
    rows = {}
    with zipfile.ZipFile(io.BytesIO(zipped)) as package:
        for name in package.namelist():
            if name.endswith(".json"):
                rows[name] = json.loads(package.read(name))
    told = [json.loads(line) for line in call("GET", f"{address}/truth?{what}").splitlines()]
    return zipped, [one | {"row": rows[one["file"]][one["index"]]} for one in told]


@pytest.mark.parametrize("kind", ["extended", "endsong"])
def test_each_play_once(platform: Make, tmp_path: Path, kind: str) -> None:
    """What the API told is found in the export to more than 0.999, and each play is there once,
    whether it was told before or after the import, or never."""
    here = platform("--epoch", "2026-10-10T00:00:00Z", users=USERS)
    for _ in range(4):
        here.load()
        here.advance(hours=6)
    truth: dict[tuple[Any, ...], str | None] = {}
    for number in range(1, USERS + 1):
        listener = f"listener-{number:04}"
        user = here.user_id(listener)
        zipped, told = export_of(here, listener, kind)
        path = tmp_path / f"{number}.zip"
        path.write_bytes(zipped)
        import_export(here.settings, user, [path], f"{number}", lambda *_: None, here.clock)
        for one in told:
            row = one["row"]
            key = (user, row["ts"], row["ms_played"], one["track_id"])
            truth[key] = one["played_at"]
    here.advance(hours=1)
    here.load()

    streams = here.rows(
        "SELECT user_id, to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
        ' ms_played, track_id, outcome, to_char(played_at, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\')'
        " FROM songswap.streams"
    )
    reachable = {(here.user_id(user), at) for user, at, _ in here.reachable()}
    assert len(reachable) > 300
    merged = [(user, truth[user, *key], at) for user, *key, how, at in streams if how == "merged"]
    right = sum(true == at for _, true, at in merged)
    findable = {(key[0], true) for key, true in truth.items() if (key[0], true) in reachable}
    assert right / len(merged) >= 0.999, "precision"
    assert right / len(findable) >= 0.999, "recall"

    lived = Counter(one["user"] for one in here.spotify.ledger() if heard_of(one, here, reachable))
    held = Counter(user for user, _, _ in here.history().elements())
    assert held.total() == lived.total()


def heard_of(one: dict[str, Any], here: Any, reachable: set[tuple[int, str]]) -> bool:
    """Whether a play was in the export, which was made an hour ago, or told by the API."""
    made = here.clock().timestamp() - 3600
    listed = datetime.fromisoformat(one["listed_at"])
    return listed.timestamp() <= made or (here.user_id(one["user"]), one["played_at"]) in reachable
