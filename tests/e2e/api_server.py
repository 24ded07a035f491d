"""Airflow's api-server alone, on a migrated metadata database that has the DAGs."""

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psycopg

from songswap.dev.stack.loopback import HTTPError, URLError, call, call_json
from songswap.supervision.process import Process

REPOSITORY = Path(__file__).parents[2]
PASSWORD = secrets.token_urlsafe(12)
SIMPLE = {"admin": "admin", "viewer": "viewer", "nobody": ""}
"""Users of the simple auth manager with their roles; the last one has none."""

FAB = {"admin": "Admin", "viewer": "Viewer", "nobody": "Public"}
PAGE_CONNECTION = "SongSwap_RDS_ReadOnly"
_FAB_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
_MAKE_USERS = """
import json, sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

roles, password = json.loads(sys.argv[1])
with get_application_builder() as builder:
    for name, role in roles.items():
        found = builder.sm.find_role(role)
        assert builder.sm.add_user(name, "A", "B", f"{name}@example.com", found, password)
"""
"""As ``airflow users create`` does, in one process for all."""


class Metadata:
    """A metadata database, and what the api-servers on it have in common.

    Args:
        folder: Airflow's home; created.
        dsn: of an empty database.
    """

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        passwords = folder / "passwords.json"
        passwords.write_text(json.dumps(dict.fromkeys(SIMPLE, PASSWORD)))
        self.environment = {
            "HOME": str(folder),
            "PATH": str(Path(sys.executable).parent),
            "PYTHONPATH": str(REPOSITORY / "src"),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{user}:{role}" for user, role in SIMPLE.items()
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": dsn.replace(
                "postgresql:", "postgresql+psycopg2:"
            ),
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
            "SPT_NOENV": "1",
        }

    def prepare(self) -> None:
        """Migrate the database, and parse the DAG files into it."""
        self.airflow("db", "migrate")
        self.airflow("dags", "reserialize")

    def prepare_fab(self) -> None:
        """Add the tables of the FAB auth manager, and its users."""
        fab = {"AIRFLOW__CORE__AUTH_MANAGER": _FAB_MANAGER}
        self.airflow("fab-db", "migrate", **fab)
        users = json.dumps([FAB, PASSWORD])
        self._run([sys.executable, "-c", _MAKE_USERS, users], fab)

    def airflow(self, *words: str, **environment: str) -> None:
        """Run a command of Airflow."""
        self._run([sys.executable, "-m", "airflow", *words], environment)

    def _run(self, command: list[str], environment: Mapping[str, str]) -> None:
        done = subprocess.run(  # noqa: S603  (our own words)
            command,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


class ApiServer:
    """An api-server.

    Args:
        metadata: the database that it serves.
        port: on 127.0.0.1.
        fab: whether logins are those of the FAB auth manager.
    """

    def __init__(self, metadata: Metadata, port: int, *, fab: bool = False) -> None:
        self.url = f"http://127.0.0.1:{port}"
        own = {"AIRFLOW__API__BASE_URL": self.url}
        if fab:
            own["AIRFLOW__CORE__AUTH_MANAGER"] = _FAB_MANAGER
        self.process = Process(
            f"api-server-{port}",
            [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "-p", str(port)],
            log=metadata.folder / f"api-server-{port}.log",
            mark=metadata.folder,
            environment={**metadata.environment, **own},
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process.start()
        self.process.wait_ready(self._answers, 120)

    def stop(self) -> None:
        """Stop it."""
        self.process.stop(5)

    def token(self, user: str) -> str:
        """The access token of a user."""
        login = {"username": user, "password": PASSWORD}
        return str(call_json("POST", f"{self.url}/auth/token", login)["access_token"])

    def get(
        self, path: str, user: str | None, token: str | None = None
    ) -> tuple[int, Message, Any]:
        """The status, headers and JSON of a path, as a user, with a token, or with neither."""
        request = Request(f"{self.url}{path}")  # noqa: S310  (ours)
        if token := self.token(user) if user else token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
                return answer.status, answer.headers, json.loads(answer.read())
        except HTTPError as error:
            with error:
                return error.code, error.headers, json.loads(error.read())

    def connect_page(self, dsn: str) -> None:
        """Set the connection of the page, as an admin does in Airflow's pages."""
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
        self.disconnect_page()
        connection = {
            "connection_id": PAGE_CONNECTION,
            "conn_type": "postgres",
            "host": parts["host"],
            "port": int(str(parts["port"])),
            "login": parts["user"],
            "password": parts["password"],
            "schema": parts["dbname"],
        }
        url = f"{self.url}/api/v2/connections"
        call_json("POST", url, connection, token=self.token("admin"))

    def disconnect_page(self) -> None:
        """Remove it."""
        url = f"{self.url}/api/v2/connections/{PAGE_CONNECTION}"
        with suppress(HTTPError):
            call("DELETE", url, token=self.token("admin"))

    def _answers(self) -> bool:
        try:
            call_json("GET", f"{self.url}/api/v2/version")
        except (URLError, ConnectionError, TimeoutError):
            return False
        return True
