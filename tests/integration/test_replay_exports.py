"""Replay of exports: what users' exports told comes back from the archive as well."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.loopback import call
from songswap.errors import WarehouseUnavailable
from songswap.pipelines import replay, run_counts
from songswap.pipelines.import_export import import_export
from songswap.settings import Settings
from songswap.transform.exports.outcomes import Outcome
from songswap.warehouse.connection import connect

TABLES = (
    'SELECT * FROM "History"',
    'SELECT id FROM "Tracks"',
    "SELECT * FROM songswap.streams",
    "SELECT * FROM songswap.export_tracks",
    "SELECT user_id, fingerprint, reason, played_at, raw_key, found_at"
    " FROM songswap.rejected_items",
    "SELECT user_id, started_at, raw_keys FROM songswap.imports",
    "SELECT user_id, after, before, closed_at IS NULL FROM songswap.gaps",
)


def tables(settings: Settings) -> list[list[str]]:
    with connect(settings.warehouse_dsn) as connection:
        return [
            sorted(map(repr, connection.execute(query.encode()).fetchall())) for query in TABLES
        ]


def replay_all(settings: Settings) -> dict[str, int]:
    units = replay.plan(settings)
    return run_counts.total(replay.replay(settings, "replay", unit) for unit in units)


def export_of(platform: Platform, folder: Path, number: int, query: str) -> Path:
    """The export of a listener."""
    address = f"{platform.spotify.url}/admin/listeners/listener-{number:04}/export?{query}"
    path = folder / "export.zip"
    path.write_bytes(call("GET", address))
    return path


def outcomes(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts of streams by what they are."""
    return {name: counts[name] for name in map(str, Outcome) if counts.get(name)}


def rebuilt(platform: Platform, dsn: str) -> list[list[str]]:
    """The tables that the archive alone gives."""
    again = replace(platform.settings, warehouse_dsn=dsn)
    replay.copy_users(again, platform.settings.warehouse_dsn, replay.plan(again))
    replay_all(again)
    return tables(again)


@pytest.mark.parametrize("meanwhile", [("archive", 1), ("load", 0)], ids=["in part", "whole"])
def test_replay_during_an_import(
    make_platform: MakePlatform,
    tmp_path: Path,
    make_warehouse: Callable[[], str],
    meanwhile: tuple[str, int],
) -> None:
    """What a replay loads of an export that is being imported is one import, the export's: its
    counts are what became of the rows, whoever loaded them."""
    platform = make_platform("--epoch", "2026-11-10T00:00:00Z", users=1)
    platform.load()
    plays, user = len(platform.history()), platform.user_id("listener-0001")
    replayed: list[int] = []

    def progress(step: str, done: int, of: int) -> None:
        if (step, done) == meanwhile:
            assert step == "load" or of > 1, "that is the whole export"
            replayed.append(replay_all(platform.settings)["plays"])

    paths = [export_of(platform, tmp_path, 1, "rows_a_file=200")]
    said = import_export(platform.settings, user, paths, "import", progress, platform.clock)
    assert replayed[0] > 0
    assert plays + replayed[0] + said.get("loaded", 0) == len(platform.history())
    [(import_id, counts)] = platform.rows("SELECT import_id, counts FROM songswap.imports")
    assert import_id == "import"
    streams = "SELECT outcome, count(*) FROM songswap.streams GROUP BY 1"
    assert outcomes(counts) == dict(platform.rows(streams))
    assert counts["loaded"] == len(platform.history()) - plays
    not_there_before = {"rows", "tracks", "data_fixes", "gaps_closed"}
    assert counts["rows"] == sum(counts[name] for name in counts.keys() - not_there_before)
    assert tables(platform.settings) == rebuilt(platform, make_warehouse())


def test_import_that_was_tried_again(make_platform: MakePlatform, tmp_path: Path) -> None:
    """A try that archived the rows, one that loaded them hours later, and one that found them there
    are one import, with the counts of the second; a replay records no other."""
    platform = make_platform("--epoch", "2026-11-10T00:00:00Z", users=1)
    platform.load()
    about = platform.settings, platform.user_id("listener-0001")
    paths = [export_of(platform, tmp_path, 1, "")]

    def fail(step: str, done: int, of: int) -> None:
        if step == "load":
            raise WarehouseUnavailable("as at its failover")

    with pytest.raises(WarehouseUnavailable):
        import_export(*about, paths, "import", fail, platform.clock)
    said: dict[str, int] = {}
    for _ in range(2):
        platform.advance(hours=2)
        done = import_export(*about, paths, "import", lambda *_: None, platform.clock)
        said = said or done
    assert replay_all(platform.settings)["plays"] == 0
    [(import_id, counts)] = platform.rows("SELECT import_id, counts FROM songswap.imports")
    assert (import_id, Counter(counts)) == ("import", Counter(said))


def test_row_for_row(
    make_platform: MakePlatform, tmp_path: Path, make_warehouse: Callable[[], str]
) -> None:
    """Answers and exports, whoever came first, give the same tables from the archive alone; into
    the live tables nothing is new."""
    platform = make_platform("--epoch", "2026-11-10T00:00:00Z", users=4)
    platform.load()
    for turn, (number, kind) in enumerate(((1, "extended"), (2, "endsong"), (1, "extended"))):
        paths = [export_of(platform, tmp_path, number, f"kind={kind}")]
        user = platform.user_id(f"listener-000{number}")
        import_export(
            platform.settings, user, paths, f"import {turn}", lambda *_: None, platform.clock
        )
        platform.advance(hours=9)
        platform.load()
    live = tables(platform.settings)
    assert all(live[:4]), "a table without rows proves nothing"
    assert replay_all(platform.settings)["plays"] == 0
    for query, before, after in zip(TABLES, live, tables(platform.settings), strict=True):
        assert after == before, query

    again = replace(platform.settings, warehouse_dsn=make_warehouse())
    replay.copy_users(again, platform.settings.warehouse_dsn, replay.plan(again))
    counts = replay_all(again)
    assert replay.problem(counts) is None
    assert counts["plays"] == len(live[0])
    for query, before, after in zip(TABLES, live, tables(again), strict=True):
        assert after == before, query
