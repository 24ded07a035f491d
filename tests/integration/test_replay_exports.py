"""Replay of exports: what users' exports told comes back from the archive as well."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from factories import MakePlatform

from songswap.dev.stack.loopback import call
from songswap.pipelines import replay, run_counts
from songswap.pipelines.import_export import import_export
from songswap.settings import Settings
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


def test_row_for_row(
    make_platform: MakePlatform, tmp_path: Path, make_warehouse: Callable[[], str]
) -> None:
    """Answers and exports, whoever came first, give the same tables from the archive alone; into
    the live tables nothing is new."""
    platform = make_platform("--epoch", "2026-11-10T00:00:00Z", users=4)
    platform.load()
    for turn, (number, kind) in enumerate(((1, "extended"), (2, "endsong"), (1, "extended"))):
        address = f"{platform.spotify.url}/admin/listeners/listener-000{number}/export?kind={kind}"
        (tmp_path / "export.zip").write_bytes(call("GET", address))
        user = platform.user_id(f"listener-000{number}")
        paths = [tmp_path / "export.zip"]
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
