"""The project as its users get it: a wheel in an environment of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
# What may lie in a clone and is nobody's business.
PRIVATE = (".env", "airflow.dump", "notes/todo.md", "dags/__pycache__/x.cpython-311.pyc")
_NO_PART_OF_IT = (".git", ".venv", ".songswap", ".hypothesis", ".*_cache", "__pycache__")


@dataclass(frozen=True)
class Wheel:
    """A wheel, and where it is installed.

    path: of the wheel.
    archive: of the source archive that it was built from.
    said: what the build printed.
    environment: a clean one, with the wheel and its extras `airflow` and `local`.
    """

    path: Path
    archive: Path
    said: str
    environment: Path

    def songswap(self, folder: Path, *arguments: str, **more: str) -> str:
        """What ``songswap`` prints, in a folder and with no environment but this one."""
        done = subprocess.run(  # noqa: S603  (our own command)
            [self.environment / "bin/songswap", *arguments],
            cwd=folder,
            env={"PATH": os.defpath, "HOME": str(folder), "COLUMNS": "200"} | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def run_tool(*words: str | Path) -> str:
    """All that a tool of ours prints that has to succeed."""
    done = subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-m", *words],
        env=os.environ | {"PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def new_environment(folder: Path, *requirements: str) -> Path:
    """A virtual environment with nothing in it but these, at the versions of the lock."""
    run_tool("uv", "venv", "--python", sys.executable, folder)
    lock = REPOSITORY / "requirements.lock"
    python = folder / "bin/python"
    run_tool("uv", "pip", "install", "--python", python, "--constraint", lock, *requirements)
    return folder


def built(folder: Path) -> Wheel:
    """Build the wheel of a clone with more in it than belongs to the project, and install it."""
    clone = folder / "clone"
    shutil.copytree(REPOSITORY, clone, ignore=shutil.ignore_patterns(*_NO_PART_OF_IT))
    for name in PRIVATE:
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text("hush")
    said = run_tool("build", "--no-isolation", "--outdir", folder / "dist", clone)
    [path] = folder.glob("dist/*.whl")
    [archive] = folder.glob("dist/*.tar.gz")
    environment = new_environment(folder / "environment", f"{path}[airflow,local]")
    return Wheel(path, archive, said, environment)
