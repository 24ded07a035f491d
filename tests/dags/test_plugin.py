"""The plugin in a process of Airflow: what each of them, every task too, imports with it."""

import json
import subprocess
import sys

HEAVY = {"fastapi", "starlette", "uvicorn", "psycopg", "aiohttp", "airflow.api_fastapi"}
LOOK = """
import json, sys
from importlib.metadata import entry_points

(entry_point,) = [e for e in entry_points(group="airflow.plugins") if e.name == "songswap"]
plugin = entry_point.load()
found = {"modules": sorted(sys.modules), "react": plugin.react_apps}
print(json.dumps(found))
"""


def loaded(code: str = LOOK) -> dict[str, list[str]]:
    """What a fresh interpreter has after it imported the plugin."""
    done = subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_no_task_process_imports_the_page() -> None:
    """FastAPI, the warehouse's driver and the application are left to the api-server."""
    modules = set(loaded()["modules"])
    assert "songswap.orchestration.plugin" in modules
    assert modules & HEAVY == set()
    assert {name for name in modules if name.startswith("songswap.orchestration.web")} == {
        "songswap.orchestration.web",
        "songswap.orchestration.web.assets",
        "songswap.orchestration.web.mount",
    }
