"""What stands still in a running Airflow is noticed: inside of it, and from outside.

A pool that does not exist, a paused DAG, a frozen scheduler; with the real scheduler, api-server
and dag-processor of a demo.
"""

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from songswap.dev.stack.airflow_api import UNFINISHED, AirflowApi
from songswap.dev.stack.loopback import call_json
from songswap.supervision.process import marked, wait_until

LOAD, FOLLOW = "load_listening_history", "follow_heavy_listeners"
STANDS, GOES_ON = "🔴 Something stands still", "🟢 It goes on again"
TOKEN = "a token of the monitor's own"
_PATIENCE_S = 300
"""On a busy machine a run takes minutes."""


class Operator:
    """What an operator, a monitor and the passing of time do to a demo.

    Args:
        state: its folder.
        ports: of Airflow, PostgreSQL and the simulator.
    """

    def __init__(self, state: Path, ports: dict[str, int]) -> None:
        self._state = state
        self._airflow = f"http://127.0.0.1:{ports['AIRFLOW']}"
        self._spotify = f"http://127.0.0.1:{ports['SIMULATOR']}"
        password = json.loads((state / "airflow/passwords.json").read_text())["admin"]
        self.api = AirflowApi(self._airflow, "admin", password)
        login = {"username": "admin", "password": password}
        self._token = call_json("POST", f"{self._airflow}/auth/token", login)["access_token"]
        secret = (state / "postgres/password").read_text().strip()
        self._dsn = f"postgresql://songswap:{secret}@127.0.0.1:{ports['POSTGRES']}/songswap"

    def change(self, method: str, path: str, body: object = None) -> Any:
        """Change something in Airflow, as its pages do."""
        return call_json(method, f"{self._airflow}/api/v2{path}", body, self._token)

    def execute(self, statement: str) -> None:
        """Run a statement in the warehouse."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def told(self) -> list[tuple[str, str]]:
        """Titles and texts of what Discord was sent since this was asked last."""
        messages = call_json("GET", f"{self._spotify}/admin/discord")
        call_json("DELETE", f"{self._spotify}/admin/discord")
        embeds = [embed for message in messages for embed in message["embeds"]]
        return [(embed["title"], embed["description"].replace("\\", "")) for embed in embeds]

    def look(self) -> str:
        """Run the polls in between, which have to be green; returns the run."""
        run = self.api.trigger(FOLLOW)
        assert wait_until(lambda: self.api.state(FOLLOW, run) not in UNFINISHED, _PATIENCE_S, 0.5)
        assert self.api.state(FOLLOW, run) == "success"
        return run

    def look_twice(self) -> tuple[str, str]:
        """Look, and again ten minutes later, which tells of one thing."""
        self.look()
        assert self.told() == []
        self.execute("UPDATE songswap.notices SET sent_at = sent_at - interval '10 minutes'")
        return self.look_and_tell()

    def look_and_tell(self) -> tuple[str, str]:
        """Look, and return the one message of it."""
        self.look()
        found: list[tuple[str, str]] = []

        def is_told() -> bool:
            found.extend(self.told())
            return bool(found)

        # The dag-processor sends it after the run's end.
        assert wait_until(is_told, _PATIENCE_S, 0.3)
        (message,) = found
        return message

    def health(self, token: str | None = TOKEN) -> tuple[int, str]:
        """Status and sentence that a monitor outside gets."""
        connection = http.client.HTTPConnection(self._airflow.removeprefix("http://"), timeout=30)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            connection.request("GET", "/songswap/health", headers=headers)
            answer = connection.getresponse()
            return answer.status, str(json.loads(answer.read())["sentence"])
        finally:
            connection.close()

    @contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """Stop a part of Airflow from doing anything, for the block."""
        found = [psutil.Process(pid) for pid in marked(self._state)]
        frozen = [process for process in found if part in " ".join(process.cmdline())]
        assert frozen, [process.cmdline() for process in found]
        for process in frozen:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in frozen:
                os.kill(process.pid, signal.SIGCONT)


def require_that_standstills_are_noticed(
    operator: Operator, check: Callable[[], tuple[int, str]]
) -> None:
    """Try each of them, and let it go on again.

    Args:
        check: runs ``songswap check --fresh 90m``; gives its exit code and what it says.
    """
    assert operator.health()[0] == 200, operator.health()
    assert operator.health(None)[0] == operator.health("another")[0] == 401
    assert check()[0] == 0
    operator.told()
    _missing_pool(operator)
    _paused_dag(operator)
    _frozen_scheduler(operator, check)


def _missing_pool(operator: Operator) -> None:
    (pool,) = [
        pool for pool in operator.change("GET", "/pools")["pools"] if pool["name"] == "spotify"
    ]
    # Nobody is at risk: the polls in between do not wait for the pool.
    operator.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    operator.change("DELETE", "/pools/spotify")
    run = operator.api.trigger(LOAD)

    def waits() -> bool:
        return ("batch[0]", "scheduled") in operator.api.task_states(LOAD, run)

    assert wait_until(waits, _PATIENCE_S, 0.5)
    title, text = operator.look_twice()
    assert title == STANDS
    assert text.startswith("No task of the pool spotify begins. Tasks wait (1 of load_listening")
    operator.api.set_pools({"spotify": pool["slots"]})
    assert wait_until(lambda: operator.api.state(LOAD, run) == "success", _PATIENCE_S, 0.5)
    title, text = operator.look_and_tell()
    assert title == GOES_ON
    assert text.startswith("This is over: No task of the pool spotify begins")


def _paused_dag(operator: Operator) -> None:
    pause = f"/dags/{LOAD}?update_mask=is_paused"
    operator.change("PATCH", pause, {"is_paused": True})
    title, text = operator.look_twice()
    assert title == STANDS
    assert text.startswith("load_listening_history is paused in Airflow. Nobody is polled")
    operator.change("PATCH", pause, {"is_paused": False})
    title, text = operator.look_and_tell()
    assert title == GOES_ON


def _frozen_scheduler(operator: Operator, check: Callable[[], tuple[int, str]]) -> None:
    """Nothing inside can tell of it: the command, the route and Airflow's own health do."""
    with operator.frozen("scheduler"):
        operator.execute(
            "UPDATE songswap.runs SET started_at = started_at - interval '2 hours',"
            " ended_at = ended_at - interval '2 hours'"
        )
        code, said = check()
        assert code == 1
        assert "and none has begun since" in said
        status, sentence = operator.health()
        assert status == 503
        assert "and none has begun since" in sentence
        assert wait_until(lambda: "scheduler" in operator.api.unhealthy(), _PATIENCE_S, 1)
    assert wait_until(lambda: not operator.api.unhealthy(), _PATIENCE_S, 1)
