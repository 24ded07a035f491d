"""DAG files: what parsing all of them costs, above what Airflow itself does."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figure import Figure, cost, medians
from benchmarks.size import size

_DAGS = Path(__file__).parents[1] / "dags"
_ROUNDS = size(7, 1)

_SDK = "import airflow.sdk"
_ALL = """
import airflow.sdk, pathlib, runpy, sys
for file in sorted(pathlib.Path(sys.argv[1]).rglob("*.py")):
    runpy.run_path(str(file))
"""


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """All DAG files in a new process, against importing the SDK in a new process."""
    told(f"{_ROUNDS} rounds")
    ours, bare = medians(_ROUNDS, lambda: _python(folder, _ALL), lambda: _python(folder, _SDK))
    yield cost("parsing all DAG files, against import airflow.sdk", ours, bare, "s", most=1.3)


def _python(folder: Path, code: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, str(_DAGS)],
        env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(folder)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - begun
