"""Programs of Debian's packages, unpacked into a folder: nothing is installed, root is not needed.

folder = unpacked("pgbouncer")
subprocess.run([folder / "usr/sbin/pgbouncer", …], env={"LD_LIBRARY_PATH": libraries(folder)})
"""

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_FOLDER = Path(sys.prefix) / "debian"
_TIMEOUT_S = 120


def unpacked(*packages: str) -> Path:
    """The folder into which packages are unpacked, with what they need that this machine lacks.

    It is kept beside the installed Python packages. The test is skipped, with the reason, where
    there is no ``apt-get``, or it cannot give the packages.
    """
    folder = _FOLDER / "+".join(packages)
    _FOLDER.mkdir(exist_ok=True)
    with (_FOLDER / ".lock").open("w") as lock:
        # Two workers of the suite may want the same.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _unpack(packages, folder)
    return folder


def libraries(folder: Path) -> str:
    """The ``LD_LIBRARY_PATH`` for programs of a folder."""
    return ":".join(str(path) for path in sorted(folder.glob("usr/lib/*-linux-gnu*")))


def _unpack(packages: tuple[str, ...], folder: Path) -> None:
    if not shutil.which("apt-get"):
        pytest.skip(f"{', '.join(packages)}: this machine has no apt-get to unpack it with")
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        needed = _missing(packages)
        _apt("download", *needed, cwd=part)
        for package in sorted(part.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, part], check=True)  # noqa: S603, S607
            package.unlink()
    except subprocess.CalledProcessError as error:
        shutil.rmtree(part)
        said = (error.stderr or "").strip().splitlines()[-1:]
        pytest.skip(f"{', '.join(packages)}: apt-get cannot give it: {' '.join(said)}")
    part.rename(folder)


def _missing(packages: tuple[str, ...]) -> list[str]:
    """The packages, and those that they need and this machine does not have."""
    simulated = _apt("install", "--simulate", "--no-install-recommends", *packages)
    return sorted({*packages, *re.findall(r"^Inst (\S+)", simulated, re.MULTILINE)})


def _apt(*arguments: str, cwd: Path | None = None) -> str:
    return subprocess.run(  # noqa: S603
        ["apt-get", "--quiet", *arguments],  # noqa: S607
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    ).stdout
