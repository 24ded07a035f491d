"""The import DAG through ``dag.test()``, with real PostgreSQL, S3 and HTTP."""

from pathlib import Path
from typing import Any

import obstore
import psycopg
from factories import MakePlatform, Platform

from songswap.dev.stack.loopback import call

DAG = "import_streaming_history"


def export_of(platform: Platform, listener: str) -> bytes:
    """Return the zip that Spotify would send."""
    return call("GET", f"{platform.spotify.url}/admin/listeners/{listener}/export")


def test_exports_in_a_folder_and_in_s3_are_imported(
    airflow: Any, make_platform: MakePlatform, tmp_path: Path
) -> None:
    """With every play once; a refused export makes the run red, and is named."""
    platform = make_platform(users=3, real_time=True)
    platform.load()
    first, second, third = (platform.user_id(f"listener-000{number}") for number in (1, 2, 3))
    folder = tmp_path / "exports"
    (folder / f"user{first}").mkdir(parents=True)
    (folder / f"user{first}" / "my_spotify_data.zip").write_bytes(
        export_of(platform, "listener-0001")
    )
    (folder / f"user{second}_2026.zip").write_bytes(b"PK nothing")
    (folder / "anna.zip").write_bytes(export_of(platform, "listener-0002"))
    (folder / f"user{first}" / "endvideo.json").write_bytes(b"")

    red = airflow.run(DAG, platform, conf={"source": str(folder)})
    assert red["state"] == "failed"
    failed = {task for task, state in red["tasks"].items() if state == "failed"}
    assert failed == {"summarise"}
    description = platform.messages()[-1]["embeds"][0]["description"]
    assert f"Refused: the export of user {second}." in description
    assert "is not a whole zip" in red["log"]
    assert "Skipped: anna.zip names no user" in red["log"]
    assert f"Left out, and may be a history: User {first}:" in red["log"]
    imported = platform.rows("SELECT user_id FROM songswap.imports")
    assert imported == [(first,)]

    waiting = f"history/inbox/user{third}/my_spotify_data.zip"
    obstore.put(platform.bucket, waiting, export_of(platform, "listener-0003"))
    source = f"s3://{platform.settings.archive.bucket}/history/inbox"
    run = airflow.run(DAG, platform, conf={"source": source})
    assert run["state"] == "success", run["log"]
    # Spotify does not know the plays of a phone that is still offline.
    now = platform.clock().isoformat()
    known = [play["user"] for play in platform.spotify.ledger() if play["listed_at"] < now]
    plays = {listener: known.count(listener) for listener in ("listener-0001", "listener-0003")}
    loaded = {user: sum(user == owner for owner, _, _ in platform.history()) for user in plays}
    # Somebody may have listened after the export.
    assert all(0 <= plays[user] - loaded[user] <= 3 for user in plays), (plays, loaded)
    with psycopg.connect(airflow.dsn.replace("+psycopg2", "")) as connection:
        size = connection.execute(
            "SELECT sum(length(value::text)) FROM xcom WHERE dag_id = %s", [DAG]
        ).fetchone()
    assert size is not None
    assert size[0] < 10_240

    none = airflow.run(DAG, platform, conf={"source": str(tmp_path / "nowhere")})
    assert none["state"] == "failed"
    assert "is not a folder" in platform.messages()[-1]["embeds"][0]["description"]
