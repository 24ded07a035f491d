"""`make bench`: each of its parts runs, at a size so tiny that its figures mean nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITTEN = ("benchmarks/results.json", "docs/performance.md", "docs/performance.svg")

PARTS = (
    *("transform", "load", "contention", "archive", "fetch", "warm", "calls", "dags", "reads"),
    *("page", "erase", "imports", "engines"),
    # One whole stack at a time is what two cores can run.
    pytest.param("whole", marks=pytest.mark.xdist_group("stack")),
)
TOO_LONG = ("workers",)
"""Starts an Airflow as `whole` does, and one worker after the other: more than half a minute."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The command; what a measurement writes stays as it is."""
    monkeypatch.syspath_prepend(str(ROOT))
    before = {name: (ROOT / name).read_bytes() for name in WRITTEN}
    yield [sys.executable, "-m", "benchmarks"]
    assert {name: (ROOT / name).read_bytes() for name in WRITTEN} == before


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )


@pytest.mark.parametrize("part", PARTS)
def test_part_prints_its_figures(bench: list[str], part: str, tmp_path: Path) -> None:
    done = run([*bench, "--tiny", "--only", part], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{part} " in done.stdout
    assert "the whole part" in done.stdout


def test_no_part_is_left_out(bench: list[str]) -> None:
    """Each is run here, but for those that take too long: they can be imported and called."""
    parts = import_module("benchmarks.__main__").PARTS
    here = {part if isinstance(part, str) else part.values[0] for part in PARTS}
    assert set(parts) == here | set(TOO_LONG)
    for name in parts:
        assert list(signature(import_module(f"benchmarks.{name}").run).parameters) == [
            "folder",
            "on_progress",
        ]


def test_workers_need_redis(
    bench: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, exit code 2 and where it comes from; nothing has been started."""
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run([*bench, "--tiny", "--only", "workers"], tmp_path)
    assert done.returncode == 2
    assert "needs a redis-server on the PATH. Install Redis" in " ".join(done.stderr.split())
    assert "begins" not in done.stderr


def test_unknown_part_is_refused(bench: list[str], tmp_path: Path) -> None:
    """Exit code 2 and the names of those that there are."""
    done = run([*bench, "--only", "everything"], tmp_path)
    assert done.returncode == 2
    assert "workers" in done.stderr
