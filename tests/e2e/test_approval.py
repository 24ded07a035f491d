"""The approval of an erasure at Airflow's api-server: in the browser, and who may give it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.api_server import ApiServer, Metadata
from e2e.browser import Chromium
from factories import MakePlatform
from playwright.sync_api import expect

from songswap.dev.stack.loopback import HTTPError, call_json
from songswap.supervision.process import wait_until

pytestmark = pytest.mark.xdist_group("page")

RUN_DAG = Path(__file__).parents[1] / "dags/run_dag.py"


def test_human_approves_in_the_browser(
    metadata: Metadata,
    api_server: ApiServer,
    make_platform: MakePlatform,
    tmp_path: Path,
) -> None:
    """The request has the counts; a viewer cannot answer it; the run goes on by itself then."""
    platform = make_platform(users=3)
    platform.load()
    platform.execute("DELETE FROM songswap.spools")
    user = platform.user_id("listener-0001")
    result = tmp_path / "result.json"
    with subprocess.Popen(  # noqa: S603  (our own script)
        [
            sys.executable,
            str(RUN_DAG),
            "erase_users",
            str(result),
            json.dumps({"users": [user]}),
            "",
        ],
        env=metadata.environment | platform.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        try:
            url = f"{api_server.url}/api/v2/dags/erase_users/dagRuns/~/hitlDetails"
            token = api_server.token("admin")
            assert wait_until(lambda: bool(call_json("GET", url, None, token)["hitl_details"]), 120)
            (asked,) = call_json("GET", url, None, token)["hitl_details"]
            assert f"User {user}: rows " in asked["body"]

            instance = asked["task_instance"]
            answer = (
                f"{api_server.url}/api/v2/dags/erase_users/dagRuns/{instance['dag_run_id']}"
                "/taskInstances/approve/-1/hitlDetails"
            )
            chosen, viewer = {"chosen_options": ["Approve"]}, api_server.token("viewer")
            with pytest.raises(HTTPError, match="403"):
                call_json("PATCH", answer, chosen, viewer)

            # Only now: the load before has an event loop of its own.
            with Chromium() as chromium:
                page = chromium.open(api_server.url, token).page
                page.goto(f"{api_server.url}/required_actions", wait_until="commit")
                page.get_by_text("Erase these users for good?").first.click()
                expect(page.get_by_text(f"User {user}: rows ")).to_be_visible()
                page.get_by_role("button", name="Approve").click()
                assert run.wait(120) == 0
        finally:
            run.kill()
    assert json.loads(result.read_text())["state"] == "success"
    assert platform.rows('SELECT FROM "Users" WHERE id = %s', user) == []
