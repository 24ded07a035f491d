"""A deployment as its operator sees it from outside: Airflow's API and Flower."""

import base64
import http.client
import secrets
from typing import Any

from e2e.compose_file import ComposeFile
from e2e.deployment import Deployment

from songswap.dev.stack.airflow_api import AirflowApi
from songswap.dev.stack.loopback import HTTPError, call_json
from songswap.supervision.process import wait_until

DAG = "load_listening_history"
ADMIN = "ada"
EMAIL = "ada@example.com"


def secret_settings(compose: ComposeFile) -> dict[str, str]:
    """Made as docker.env.example tells it: a value of each required variable."""
    made = {name: secrets.token_hex(64) for name in compose.required()}
    made["SONGSWAP_FERNET_KEY"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return made | {"SONGSWAP_ADMIN_USER": ADMIN, "SONGSWAP_ADMIN_EMAIL": EMAIL}


class Site:
    """What an operator sees from outside.

    Args:
        deployment: what runs.
        password: the admin's.
    """

    def __init__(self, deployment: Deployment, password: str) -> None:
        self._url = f"http://127.0.0.1:{deployment.ports['8080']}"
        self._flower_port: int = deployment.ports["5555"]
        self._token: str = self._login(password)["access_token"]
        self.api = AirflowApi(self._url, ADMIN, password)

    def accepts(self, password: str) -> bool:
        """True when the admin can log in with it."""
        try:
            self._login(password)
        except HTTPError as error:
            if error.code != http.client.UNAUTHORIZED:
                raise
            return False
        return True

    def first_run(self) -> str:
        """Switch the hourly load on; gives the run that this starts."""
        assert wait_until(lambda: DAG in self.api.dags(), 60, 0.5), self.api.import_errors()
        self.api.unpause(DAG)
        assert wait_until(lambda: self.api.current_run(DAG) is not None, 60, 0.3)
        return str(self.api.current_run(DAG))

    def fetching(self, run: str) -> list[dict[str, Any]]:
        """The batches of a run that are running."""
        path = f"/dags/{DAG}/dagRuns/{run}/taskInstances?state=running&limit=100"
        tasks = self._get(path)["task_instances"]
        return [task for task in tasks if task["task_id"] == "batch" and task["pid"]]

    def tries(self, run: str) -> dict[int, tuple[str, int]]:
        """State and number of tries of each batch of a run."""
        path = f"/dags/{DAG}/dagRuns/{run}/taskInstances?task_id=batch&limit=100"
        tasks = self._get(path)["task_instances"]
        return {task["map_index"]: (task["state"], task["try_number"]) for task in tasks}

    def mark_failed(self, run: str, batch: int) -> None:
        """Mark a batch failed, as a person does in the browser."""
        path = f"/dags/{DAG}/dagRuns/{run}/taskInstances/batch/{batch}"
        url = f"{self._url}/api/v2{path}"
        call_json("PATCH", url, {"new_state": "failed"}, token=self._token)

    def pools(self) -> dict[str, int]:
        """The slots of each pool."""
        return {pool["name"]: pool["slots"] for pool in self._get("/pools")["pools"]}

    def flower(self, login: str | None) -> tuple[int, str]:
        """Status and body of Flower's list of workers, asked for with `user:password`."""
        headers = {}
        if login is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        connection = http.client.HTTPConnection("127.0.0.1", self._flower_port, timeout=30)
        try:
            connection.request("GET", "/api/workers?refresh=1", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _get(self, path: str) -> Any:
        return call_json("GET", f"{self._url}/api/v2{path}", token=self._token)

    def _login(self, password: str) -> Any:
        login = {"username": ADMIN, "password": password}
        return call_json("POST", f"{self._url}/auth/token", login)
