"""``GET /songswap/health``, as a monitor outside Airflow asks it: over HTTP."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cutting_proxy import DOWN, CuttingProxy
from factories import MakePlatform

from songswap.supervision.process import wait_until

TOKEN = "a token of the monitor's own"
SERVER = """
import sys
import uvicorn
from fastapi import FastAPI
from songswap.orchestration.web import health

app = FastAPI()
app.include_router(health.router, prefix="/songswap")
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


class Answer:
    """An answer: its status, headers and JSON."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        body = response.read()
        self.status = response.status
        self.headers = response.headers
        self.body: dict[str, Any] = json.loads(body) if body else {}


class Server:
    """The route, served as the api-server serves it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, query: str = "", token: str | None = TOKEN, method: str = "GET", **headers: str
    ) -> Answer:
        """Ask for the health, with a token or without."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"/songswap/health{query}", headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()


@contextmanager
def serving(port: int, folder: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """Serve the route in a process of its own."""
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  (our own code)
            [sys.executable, "-c", SERVER, str(port)],
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "AIRFLOW_HOME": str(folder),
                **environment,
            },
            stdout=output,
            stderr=output,
        )

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        assert wait_until(listens, 90, 0.2), log.read_text()
        yield Server(port)
    finally:
        process.kill()
        process.wait()


def through(proxy: CuttingProxy, environment: Mapping[str, str]) -> str:
    """The connection to the warehouse that goes through a proxy."""
    where = dict(part.split("=") for part in proxy.dsn.split() if "=" in part)
    rds: dict[str, Any] = json.loads(environment["AIRFLOW_CONN_SONGSWAP_RDS"])
    return json.dumps(rds | {"host": where["host"], "port": int(where["port"])})


def test_monitor_is_told_whether_the_load_stands_still(
    make_platform: MakePlatform, free_port: Callable[[], int], tmp_path: Path
) -> None:
    """200 or 503 with a sentence; it never hangs, and it shows nothing to others."""
    platform = make_platform(users=2, real_time=True)
    platform.load()
    with CuttingProxy(platform.settings.warehouse_dsn) as proxy:
        environment = {
            "AIRFLOW_CONN_SONGSWAP_RDS_READONLY": through(proxy, platform.environment()),
            "SONGSWAP_HEALTH_TOKEN": TOKEN,
        }
        with serving(free_port(), tmp_path, environment) as server:
            _is_fresh_then_stale(server, platform)
            _refuses_others(server)
            proxy.strike(1, DOWN)
            away = server.ask()
            assert away.status == 503
            assert "The warehouse cannot be asked" in away.body["sentence"]
            assert "127.0.0.1" not in json.dumps(away.body)
            proxy.strike(None)
            assert server.ask().status == 503
            assert server.ask("?fresh=300m").status == 200


def _is_fresh_then_stale(server: Server, platform: Any) -> None:
    fresh = server.ask()
    assert fresh.status == 200, fresh.body
    assert fresh.headers["Cache-Control"] == "no-store"
    assert fresh.body["fresh"] is True
    assert fresh.body["sentence"].startswith("The last hourly load that ended well did so")
    assert (fresh.body["users"], fresh.body["polled"]) == (2, 2)
    head = server.ask(method="HEAD")
    assert (head.status, head.body) == (200, {})
    platform.execute("UPDATE songswap.runs SET ended_at = ended_at - interval '2 hours'")
    platform.execute(
        "INSERT INTO songswap.runs (run_id, started_at, ended_at, state, problem)"
        " VALUES ('red', now(), now(), 'failed', 'worker-2 is silent')"
    )
    stale = server.ask()
    assert stale.status == 503
    assert stale.body["sentence"].endswith(": 1 run failed since.")
    assert "worker-2" not in json.dumps(stale.body)
    assert server.ask(method="HEAD").status == 503
    assert server.ask("?fresh=3h").status == 200


def _refuses_others(server: Server) -> None:
    assert server.ask("?fresh=90").status == 400
    for token in (None, "", TOKEN[:-1], TOKEN + "x", "tökén"):
        refused = server.ask(token=token and token.encode().decode("latin-1"))
        assert refused.status == 401, token
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert refused.body.keys() == {"sentence"}
        assert TOKEN not in refused.body["sentence"]
    assert server.ask(token=None, authorization=f"Basic {TOKEN}").status == 401
    assert server.ask("?token=" + "x" * 2000, token=None).status == 401
    assert server.ask(method="POST").status == 405


def test_without_a_token_there_is_no_such_page(
    free_port: Callable[[], int], tmp_path: Path
) -> None:
    """An empty token lets nobody in."""
    with serving(free_port(), tmp_path, {"SONGSWAP_HEALTH_TOKEN": "  "}) as server:
        for given in (None, "", "  "):
            answer = server.ask(token=given)
            assert answer.status == 404
            assert "until SONGSWAP_HEALTH_TOKEN is set" in answer.body["sentence"]


def test_without_a_connection_it_says_what_is_missing(
    free_port: Callable[[], int], tmp_path: Path
) -> None:
    """A monitor that was set up before the api-server's connection."""
    with serving(free_port(), tmp_path, {"SONGSWAP_HEALTH_TOKEN": TOKEN}) as server:
        answer = server.ask()
        assert answer.status == 503
        assert "SettingsError" in answer.body["sentence"]
