"""DAG files: what parsing all of them costs beside Airflow's own import."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measurement import Measurement, OnProgress, cost, medians, seconds
from benchmarks.size import size

_DAGS = Path(__file__).parents[1] / "dags"
_ROUNDS = size(7, 1)

_SDK = "import airflow.sdk"
_ALL = """
import airflow.sdk, pathlib, runpy, sys
for file in sorted(pathlib.Path(sys.argv[1]).rglob("*.py")):
    runpy.run_path(str(file))
"""


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare all DAG files in a new process with importing the SDK in a new process."""
    on_progress(f"{_ROUNDS} rounds")
    ours, bare = medians(
        _ROUNDS,
        lambda: seconds(partial(_python, folder, _ALL)),
        lambda: seconds(partial(_python, folder, _SDK)),
    )
    yield cost("parsing all DAG files, against import airflow.sdk", ours, bare, "s", at_most=1.3)


def _python(folder: Path, code: str) -> None:
    subprocess.run(
        [sys.executable, "-c", code, str(_DAGS)],
        env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(folder)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
