"""Imports held against the truth: the simulator knows which row of an export is which play."""

import io
import itertools
import json
import zipfile
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.loopback import call
from songswap.pipelines.import_export import import_export

USERS = 5
ACCOUNTS = 16
PLAY_MS = 30_000
ACCOUNT_DATA = 0.998

Key = tuple[Any, ...]
"""What a stream is known by: its user, end and length, and its track or, in account data, names."""

Truth = dict[Key, set[tuple[str | None, str]]]
"""What the rows of a stream are: the API's time of the play, if it is one, and the kind."""


class Stream(NamedTuple):
    """A row of `songswap.streams`."""

    key: Key
    outcome: str
    played_at: str | None


def export_of(platform: Platform, listener: str, kind: str) -> tuple[bytes, list[dict[str, Any]]]:
    """A listener's zip, and its rows, each with the play that it is."""
    address = f"{platform.spotify.url}/admin/listeners/{listener}/export"
    what = f"kind={kind}&rows_a_file=400"
    zipped = call("GET", f"{address}?{what}")
    rows = {}
    with zipfile.ZipFile(io.BytesIO(zipped)) as package:
        for name in package.namelist():
            if name.endswith(".json"):
                rows[name] = json.loads(package.read(name))
    data = [json.loads(line) for line in call("GET", f"{address}/truth?{what}").splitlines()]
    return zipped, [one | {"row": rows[one["file"]][one["index"]]} for one in data]


def import_all(platform: Platform, folder: Path, kind: str, users: int) -> Truth:
    """Import everybody's export; gives what its rows are."""
    truth: Truth = defaultdict(set)
    for number in range(1, users + 1):
        listener = f"listener-{number:04}"
        user = platform.user_id(listener)
        zipped, result = export_of(platform, listener, kind)
        path = folder / f"{kind}-{number}.zip"
        path.write_bytes(renamed(zipped) if kind == "endsong" else zipped)
        import_export(platform.settings, user, [path], path.name, lambda *_: None, platform.clock)
        for one in result:
            row = one["row"]
            if "ts" in row:
                key: Key = (user, row["ts"], row["ms_played"], one["track_id"])
            else:
                end = row["endTime"].replace(" ", "T") + ":00Z"
                key = (user, end, row["msPlayed"], row.get("trackName"), row.get("artistName"))
            truth[key].add((one["played_at"], one["category"]))
    return truth


def renamed(zipped: bytes) -> bytes:
    """The same files under names that people and their computers give them."""
    into = io.BytesIO()
    names = itertools.cycle(["endsong.json", "music copy.json", "ENDSONG_7.JSON", "2019.json"])
    with zipfile.ZipFile(io.BytesIO(zipped)) as package, zipfile.ZipFile(into, "w") as copy:
        for number, name in enumerate(package.namelist()):
            new = f"{number}/{next(names)}" if name.endswith(".json") else name
            copy.writestr(new, package.read(name))
            copy.writestr(f"__MACOSX/{number}/._{name.rpartition('/')[2]}", b"\x00\x05\x16\x07")
    return into.getvalue()


def streams_of(platform: Platform) -> list[Stream]:
    rows = platform.rows(
        "SELECT user_id, to_char(coalesce(reported_at, ended_at) AT TIME ZONE 'UTC',"
        ' \'YYYY-MM-DD"T"HH24:MI:SS"Z"\'),'
        " ms_played, track_id, track_name, artist_name, to_the_minute, outcome,"
        ' to_char(played_at, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\') FROM songswap.streams'
    )
    return [
        Stream((*row[:3], *(row[4:6] if row[6] else row[3:4])), outcome=row[7], played_at=row[8])
        for row in rows
    ]


def users_of(platform: Platform) -> dict[str, int]:
    return dict(platform.rows('SELECT spotify_id, id FROM "Users"'))


def reachable_of(platform: Platform) -> set[tuple[int, str]]:
    users = users_of(platform)
    return {(users[user], at) for user, at, _ in platform.reachable()}


def plays_in(truth: Truth) -> set[tuple[int, str]]:
    return {(key[0], at) for key, rows in truth.items() for at, _ in rows if at}


def hold_pairs(
    platform: Platform, truth: Truth, reachable: set[tuple[int, str]], least: float = 0.999
) -> int:
    """Hold the pairs against the truth; gives how many there are to be found."""
    merged = [one for one in streams_of(platform) if one.outcome == "merged"]
    right = {(key[0], at) for key, _, at in merged if any(at == true for true, _ in truth[key])}
    findable = plays_in(truth) & reachable
    assert len(right) / len(merged) >= least, "precision"
    assert len(right) / len(findable) >= least, "recall"
    return len(findable)


@pytest.mark.parametrize("kind", ["extended", "endsong"])
def test_each_play_once(make_platform: MakePlatform, tmp_path: Path, kind: str) -> None:
    """What the API told is found in the export to more than 0.999, and each play is there once,
    whether it was told before or after the import, or never; whatever the files are called."""
    platform = make_platform("--epoch", "2026-10-10T00:00:00Z", users=USERS)
    for _ in range(4):
        platform.load()
        platform.advance(hours=6)
    truth = import_all(platform, tmp_path, kind, USERS)
    platform.advance(hours=1)
    platform.load()
    assert hold_pairs(platform, truth, reachable_of(platform)) > 300
    assert held(platform) == lived(platform)


def lived(platform: Platform) -> Counter[str]:
    """The plays of each user that were in an export of an hour ago, or were told by the API."""
    made = platform.clock().timestamp() - 3600
    return Counter(
        play["user"]
        for play in platform.spotify.ledger()
        if play["reachable_when_polled"]
        or datetime.fromisoformat(play["listed_at"]).timestamp() <= made
    )


def held(platform: Platform) -> Counter[str]:
    """The plays of each user that are in the warehouse."""
    return Counter(user for user, _, _ in platform.history().elements())


def test_account_data_matches_plays_by_minute_and_name(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    """Account data, in both of its forms, is paired as well although it tells minutes and names,
    and no play is there twice: not when the API tells it later, nor when a later import can tell
    its track, nor when the extended history takes its place, which leaves the very plays.

    What offline phones reported together, and doubles of short tracks, it cannot always tell apart.
    """
    platform = make_platform("--epoch", "2026-11-01T00:00:00Z", users=ACCOUNTS)
    for _ in range(6):
        platform.load()
        platform.advance(hours=6)
    truth = import_all(platform, tmp_path, "account", ACCOUNTS)
    assert hold_pairs(platform, truth, reachable_of(platform), ACCOUNT_DATA) > 1_000
    hold_number(platform, truth)
    hold_unidentified(platform, truth)
    before = unidentified(platform)
    platform.advance(hours=1)
    platform.load()
    hold_number(platform, truth)

    for key, rows in import_all(platform, tmp_path, "account-older", ACCOUNTS).items():
        truth[key] |= rows
    assert hold_pairs(platform, truth, reachable_of(platform), ACCOUNT_DATA) > 1_000
    hold_number(platform, truth)
    assert before - unidentified(platform)

    import_all(platform, tmp_path, "extended", ACCOUNTS)
    platform.advance(hours=1)
    platform.load()
    assert held(platform) == lived(platform)


def unidentified(platform: Platform) -> set[Key]:
    """The streams of which no track can be told."""
    return {one.key for one in streams_of(platform) if one.outcome == "unidentified"}


def hold_number(platform: Platform, truth: Truth) -> None:
    """Each play that the API told or whose track can be told is there once, and so are private
    sessions, which account data does not tell apart; equal rows are one, but what the API told."""
    unknown, reachable = unidentified(platform), reachable_of(platform)
    loaded = {key: rows for key, rows in truth.items() if key not in unknown}
    private = [
        key[0]
        for key, rows in loaded.items()
        if key[2] >= PLAY_MS and {what for _, what in rows} == {"private"}
    ]
    assert private
    names = {number: user for user, number in users_of(platform).items()}
    plays = set(reachable)
    for key, rows in loaded.items():
        of_row = {(key[0], at) for at, _ in rows if at}
        if of_row and not of_row & reachable:
            plays.add(min(of_row))
    numbers = [user for user, _ in plays] + private
    true, found = Counter(names[user] for user in numbers), held(platform)
    wrong = (true - found) + (found - true)
    assert wrong.total() <= (1 - ACCOUNT_DATA) * true.total(), wrong


def hold_unidentified(platform: Platform, truth: Truth) -> None:
    """Only of names that several tracks share, or that nobody has told of, no track can be told."""
    named = Counter(
        platform.rows(
            'SELECT t.name, a.name FROM "Tracks" t JOIN "ArtistTracks" l ON l.track_id = t.id'
            ' JOIN "Artists" a ON a.id = l.artist_id WHERE l.is_primary'
        )
    )
    for key in unidentified(platform):
        if any(at for at, _ in truth[key]):
            assert named[key[3][:240], key[4][:120]] != 1
