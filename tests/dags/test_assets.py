"""The assets' events through ``dag.test()``: with counts, where a run brought news, only there."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from factories import MakePlatform, Platform

from songswap.dev.stack.loopback import call

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
HOURLY, FOLLOWING = "load_listening_history", "follow_heavy_listeners"
IMPORT, REPLAY, BACKFILL = "import_streaming_history", "replay_archive", "backfill_data"
PAUSE_ALL = (
    "UPDATE songswap.grants SET state = 'forbidden', ask_again_at = now() + interval '1 day'"
)
"""No user who was polled before is polled again: no run finds anything new."""


def events(airflow: Any, run: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the extras of a run's events, by asset, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    with psycopg.connect(airflow.dsn.replace("+psycopg2", "")) as connection:
        rows = connection.execute(
            "SELECT a.name, e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id"
            " WHERE e.source_run_id = %s ORDER BY e.id",
            [run["run_id"]],
        )
        for name, extra in rows:
            found.setdefault(name, []).append(extra)
    return found


def rows_of(platform: Platform, table: str) -> int:
    """Count the rows of a table."""
    return len(platform.rows(f"TABLE {table}"))


def published(run: dict[str, Any]) -> dict[str, str]:
    """Return the states of the tasks that publish."""
    return {task: state for task, state in run["tasks"].items() if task.startswith("publish_")}


def test_run_with_news_leaves_an_event_of_each_asset(
    airflow: Any, make_platform: MakePlatform
) -> None:
    """Their extras have counts and the run's id, and nothing else. A run that finds nothing new
    leaves none: its tasks are skipped, and it is good."""
    platform = make_platform(users=4, real_time=True)
    run = airflow.run(HOURLY, platform)
    assert run["state"] == "success", run["log"]
    assert published(run) == {"publish_plays": "success", "publish_catalogue": "success"}
    ((users,),) = platform.rows('SELECT count(DISTINCT user_id) FROM "History"')
    plays = {"plays": rows_of(platform, '"History"'), "users": users, "run_id": run["run_id"]}
    found = events(airflow, run)
    assert found.pop("songswap_plays") == [plays]
    (catalogue,) = found.pop("songswap_catalogue")
    assert found == {}
    # An artist may be new by a response of the enrichment, which no load counts as a row.
    assert 0 < catalogue.pop("artists") <= rows_of(platform, '"Artists"')
    assert catalogue.pop("tracks_fetched") + catalogue.pop("artists_fetched") > 0
    tracks, features = rows_of(platform, '"Tracks"'), rows_of(platform, '"TrackFeatures"')
    assert catalogue == {"tracks": tracks, "features": features, "run_id": run["run_id"]}

    platform.execute(PAUSE_ALL)
    quiet = airflow.run(HOURLY, platform)
    assert quiet["state"] == "success", quiet["log"]
    assert published(quiet) == {"publish_plays": "skipped", "publish_catalogue": "skipped"}
    assert quiet["tasks"]["summarise"] == "success"
    assert events(airflow, quiet) == {}


def test_red_run_with_plays_leaves_an_event(airflow: Any, make_platform: MakePlatform) -> None:
    """A batch failed, and the run is red; the plays of the other one are published."""
    platform = make_platform(users=4, real_time=True)
    first = platform.user_id("listener-0001")
    platform.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'no space left' USING ERRCODE = 'disk_full'; END $$"
    )
    platform.execute(
        'CREATE TRIGGER refuse BEFORE INSERT ON "History" FOR EACH ROW'
        f" WHEN (NEW.user_id = {first}) EXECUTE FUNCTION refuse()"
    )
    run = airflow.run(HOURLY, platform, SONGSWAP_BATCH_SIZE="2")
    assert run["state"] == run["tasks"]["batch[0]"] == "failed"
    assert run["tasks"]["batch[1]"] == run["tasks"]["publish_plays"] == "success"
    plays = rows_of(platform, '"History"')
    assert plays > 0
    (extra,) = events(airflow, run)["songswap_plays"]
    assert extra["plays"] == plays


def test_cleared_run_publishes_only_what_came_since(
    airflow: Any, make_platform: MakePlatform
) -> None:
    """Nothing twice: a run that is run again, and finds nothing new, leaves no event more; one that
    finds plays leaves one with their number."""
    platform = make_platform(users=3, real_time=True)
    at, late = datetime.now(UTC).isoformat(), platform.user_id("listener-0002")
    (tokens,) = platform.rows('SELECT * FROM "SpotifyTokens" WHERE id = %s', late)
    platform.execute('DELETE FROM "SpotifyTokens" WHERE id = %s', late)
    first = airflow.run(HOURLY, platform, at=at)
    assert first["state"] == "success", first["log"]
    before = rows_of(platform, '"History"')
    assert [extra["plays"] for extra in events(airflow, first)["songswap_plays"]] == [before]

    platform.execute(PAUSE_ALL)
    again = airflow.run(HOURLY, platform, at=at)
    assert again["run_id"] == first["run_id"]
    assert again["state"] == "success", again["log"]
    assert set(published(again).values()) == {"skipped"}
    assert len(events(airflow, again)["songswap_plays"]) == 1

    platform.execute('INSERT INTO "SpotifyTokens" VALUES (%s, %s, %s)', *tokens)
    third = airflow.run(HOURLY, platform, at=at)
    assert third["state"] == "success", third["log"]
    new = rows_of(platform, '"History"') - before
    assert new > 0
    assert [extra["plays"] for extra in events(airflow, third)["songswap_plays"]] == [before, new]


def test_polls_of_heavy_listeners_and_imports_leave_events(
    airflow: Any, make_platform: MakePlatform, tmp_path: Path
) -> None:
    """Each with the plays that it brought; an import that is repeated leaves none, and is good."""
    platform = make_platform(users=2, real_time=True)
    airflow.run(HOURLY, platform)
    user = platform.user_id("listener-0002")
    platform.execute('DELETE FROM "History" WHERE user_id = %s', user)
    platform.execute(
        "UPDATE songswap.polls SET plays_per_hour = 1000, fingerprint = NULL WHERE user_id = %s",
        user,
    )
    before = rows_of(platform, '"History"')
    run = airflow.run(FOLLOWING, platform)
    assert run["state"] == "success", run["log"]
    new = rows_of(platform, '"History"') - before
    assert new > 0
    assert events(airflow, run)["songswap_plays"] == [
        {"plays": new, "users": 1, "run_id": f"follow__{run['run_id']}"}
    ]

    folder = tmp_path / f"user{user}"
    folder.mkdir()
    export = call("GET", f"{platform.spotify.url}/admin/listeners/listener-0002/export")
    (folder / "my_spotify_data.zip").write_bytes(export)
    platform.execute('DELETE FROM "History" WHERE user_id = %s', user)
    before = rows_of(platform, '"History"')
    imported = airflow.run(IMPORT, platform, conf={"source": str(tmp_path)})
    assert imported["state"] == "success", imported["log"]
    new = rows_of(platform, '"History"') - before
    assert new > 0
    assert events(airflow, imported)["songswap_plays"] == [
        {"plays": new, "users": 1, "run_id": imported["run_id"]}
    ]
    repeated = airflow.run(IMPORT, platform, conf={"source": str(tmp_path)})
    assert repeated["state"] == "success", repeated["log"]
    assert published(repeated) == {"publish_plays": "skipped", "publish_catalogue": "skipped"}
    assert events(airflow, repeated) == {}


def test_replays_and_backfills_leave_events(airflow: Any, make_platform: MakePlatform) -> None:
    """With what they brought; a dry run, and a replay of what is there, leave none."""
    platform = make_platform(users=2, real_time=True)
    airflow.run(HOURLY, platform)
    user = platform.user_id("listener-0002")
    platform.execute('DELETE FROM "History" WHERE user_id = %s', user)
    before = rows_of(platform, '"History"')
    replayed = airflow.run(REPLAY, platform)
    assert replayed["state"] == "success", replayed["log"]
    new = rows_of(platform, '"History"') - before
    assert new > 0
    extra = {"plays": new, "users": 0, "run_id": replayed["run_id"]}
    assert events(airflow, replayed)["songswap_plays"] == [extra]
    for conf in ({"dry_run": True}, {}):
        quiet = airflow.run(REPLAY, platform, conf=conf)
        assert quiet["state"] == "success", quiet["log"]
        assert events(airflow, quiet) == {}

    platform.execute('DELETE FROM "TrackFeatures"')
    platform.execute("DELETE FROM songswap.enrichment_queue WHERE kind = 'features'")
    filled = airflow.run(BACKFILL, platform, conf={"kinds": ["features"]})
    assert filled["state"] == "success", filled["log"]
    (extra,) = events(airflow, filled)["songswap_catalogue"]
    assert extra["features"] == rows_of(platform, '"TrackFeatures"') > 0


def test_example_of_a_consumer_runs_by_hand(airflow: Any, make_platform: MakePlatform) -> None:
    """Without an event it has nothing to tell; a real scheduler starts it in tests/e2e."""
    folder = {"AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES)}
    run = airflow.run("after_new_plays", make_platform(users=1, real_time=True), **folder)
    assert run["state"] == "success", run["log"]
    assert run["tasks"] == {"announce": "success"}
