"""The workflow of hosted CI: valid, with no more rights than it needs, and nothing that moves."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / ".github/workflows/ci.yml"
WORKFLOW: dict[Any, Any] = yaml.safe_load(FILE.read_text())
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]


def test_workflow_is_valid() -> None:
    """It fits the schema of workflows."""
    done = subprocess.run(  # noqa: S603  (our own tool)
        [
            Path(sys.executable).parent / "check-jsonschema",
            "--builtin-schema",
            "vendor.github-workflows",
            FILE,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_pinned() -> None:
    """Each action is a commit, with its version beside it: a tag can be moved."""
    used = re.findall(r"uses: (.*)", FILE.read_text())
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v[\d.]+", one)] == []


def test_jobs_may_read_and_end() -> None:
    """No job may write to the repository, keep its token on disk, or run for ever."""
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for job in JOBS.values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 120
        [checkout] = [step for step in job["steps"] if "checkout@" in step.get("uses", "")]
        assert checkout["with"]["persist-credentials"] is False


def test_each_python_runs_what_has_to_pass() -> None:
    """`.ci/run` itself, by the Python that the Makefile is told."""
    job = JOBS["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    [step] = [step for step in job["steps"] if step.get("run") == ".ci/run"]
    assert step["env"] == {"PYTHON": "python${{ matrix.python }}"}
    assert re.search(r"^PYTHON \?=", (REPOSITORY / "Makefile").read_text(), re.M)


def test_each_target_is_built() -> None:
    """Each image that docker-compose.yaml builds is built here too."""
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    services = compose["services"].values()
    targets = {service["build"]["target"] for service in services if "build" in service}
    assert set(JOBS["image"]["strategy"]["matrix"]["target"]) == targets
