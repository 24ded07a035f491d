"""The forms of others that `songswap export` writes, read by programs of others.

ListenBrainz' client reads listens and submits them again, to a server that holds them to the rules
of ListenBrainz' own (see `test_listenbrainz` for where they are from). Its importer of zips is part
of its server and no package: what it does with the files of a zip is written here by hand.
"""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from factories import MakePlatform, Platform
from liblistenbrainz import ListenBrainz
from spotify_history_reader import SpotifyHistoryReader

from songswap.dev.stack.loopback import call
from songswap.pipelines.export_user import export_user
from songswap.pipelines.import_export import import_export


@pytest.fixture
def platform(make_platform: MakePlatform, tmp_path: Path) -> Platform:
    platform = make_platform("--epoch", "2026-11-10T00:00:00Z", users=1)
    platform.load()
    user = platform.user_id("listener-0001")
    for kind in ("account", "extended"):
        path = tmp_path / f"{kind}.zip"
        address = f"{platform.spotify.url}/admin/listeners/listener-0001/export?kind={kind}"
        path.write_bytes(call("GET", address))
        import_export(platform.settings, user, [path], kind, lambda *_: None, platform.clock)
    return platform


@pytest.fixture
def zipped(platform: Platform, tmp_path: Path) -> Path:
    """What is handed over to the listener."""
    user = platform.user_id("listener-0001")
    path = tmp_path / "out.zip"
    return export_user(
        platform.settings, user, path, 90, lambda *_: None, clock=platform.clock
    ).file


def imported_by_listenbrainz(path: Path) -> Iterator[dict[str, Any]]:
    """The listens that its importer of zips finds: of each line with a time, in each such file."""
    with zipfile.ZipFile(path) as package:
        assert len(package.namelist()) <= 500
        for name in package.namelist():
            if not name.rpartition("/")[2].lower().endswith(".jsonl"):
                continue
            assert package.getinfo(name).file_size <= 500 * 2**20
            for line in package.read(name).decode().splitlines():
                listen = json.loads(line)
                if "listened_at" in listen:
                    yield listen


def is_refused(listen: dict[str, Any]) -> bool:
    """Whether ListenBrainz' server refuses a listen of an import."""
    metadata = listen.get("track_metadata", {})
    return (
        listen.keys() != {"listened_at", "track_metadata"}
        or not isinstance(listen["listened_at"], int)
        or not metadata.get("track_name")
        or not isinstance(metadata.get("artist_name"), str)
        or not metadata["artist_name"]
        or len(json.dumps(listen)) > 10_240
    )


@contextmanager
def listenbrainz(listens: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that returns listens and takes new ones: its address, and what it took."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.respond(200, {"payload": {"listens": listens, "count": len(listens)}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if body["listen_type"] != "import" or any(map(is_refused, body["payload"])):
                self.respond(400, {"error": "JSON document is not a listen"})
                return
            taken.extend(body["payload"])
            self.respond(200, {"status": "ok"})

        def respond(self, status: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", taken
        finally:
            server.shutdown()
            thread.join()


def test_listenbrainz_reads_every_play(platform: Platform, zipped: Path) -> None:
    written = list(imported_by_listenbrainz(zipped))
    plays = platform.rows(
        'SELECT h.played_at, h.track_id, t.name FROM "History" h'
        ' JOIN "Tracks" t ON t.id = h.track_id ORDER BY 1'
    )
    with listenbrainz(written) as (url, taken):
        client = ListenBrainz(api_base_url=url)
        client.set_auth_token("token", check_validity=False)
        listens = client.get_listens("anna")
        assert [
            (listen.listened_at, listen.spotify_id.rpartition("/")[2], listen.track_name)
            for listen in listens
        ] == [(int(at.replace(tzinfo=UTC).timestamp()), track, name) for at, track, name in plays]
        assert all(listen.artist_name for listen in listens)
        client.submit_multiple_listens(listens)
    assert taken == written


def test_listenbrainz_importer_of_spotify_takes_the_zip_too(zipped: Path) -> None:
    """It reads what has "audio" in its name, with these fields and this form of the time."""
    with zipfile.ZipFile(zipped) as package:
        names = [name for name in package.namelist() if "audio" in name.rpartition("/")[2].lower()]
        assert names
        for name in names:
            for row in json.loads(package.read(name)):
                assert row["ts"][10::9] == "TZ"
                assert row["ms_played"] >= 0
                assert row["spotify_track_uri"] is None or row["spotify_track_uri"].count(":") == 2


def test_reader_of_spotifys_history_reads_every_stream(
    platform: Platform, zipped: Path, tmp_path: Path
) -> None:
    """Strictly: a row that it cannot read is an error."""
    with zipfile.ZipFile(zipped) as package:
        package.extractall(tmp_path / "out")
    reader = SpotifyHistoryReader()
    for path in sorted((tmp_path / "out" / "spotify").glob("Streaming_History_Audio_*.json")):
        reader.add_source(str(path))
    read = [
        (play.timestamp, play.playback.ms_played, play.id, play.song, play.artist)
        for play in reader.read(strict=True)
        if play.is_song
    ]
    streams = platform.rows(
        "SELECT coalesce(s.reported_at, s.ended_at), s.ms_played, 'spotify:track:' || s.track_id,"
        " e.name, e.artist FROM songswap.streams s"
        " JOIN songswap.export_tracks e ON e.id = s.track_id WHERE NOT s.to_the_minute"
    )
    assert len(read) > 100
    assert sorted(read) == sorted(streams)
