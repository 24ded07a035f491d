"""Programs of Debian's packages, unpacked into a folder: nothing is installed, root is not needed.

folder = unpacked("pgbouncer")
subprocess.run([*command(folder, "usr/sbin/pgbouncer"), "--version"], env=environment(folder))
"""

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_FOLDER = Path(sys.prefix) / "debian"
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_TIMEOUT_S = 180


def unpacked(*packages: str, suite: str | None = None) -> Path:
    """The folder into which packages are unpacked, with what they need that this machine lacks.

    It is kept beside the installed Python packages. The test is skipped, with the reason, where
    there is no ``apt-get``, or it cannot give the packages.

    Args:
        suite: the name of another Debian than the machine's own, from the same place; all of its
            libraries are unpacked then, the C library among them.
    """
    folder = _FOLDER / "+".join((*packages, *([suite] if suite else [])))
    _FOLDER.mkdir(exist_ok=True)
    with (_FOLDER / ".lock").open("w") as lock:
        # Two workers of the suite may want the same.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _unpack(packages, folder, suite)
    return folder


def command(folder: Path, program: str) -> list[str]:
    """The words that start a program of a folder, with the folder's own C library if it has one."""
    path = str(folder / program)
    loader = _loader(folder)
    return [str(loader), "--library-path", _libraries(folder), path] if loader else [path]


def environment(folder: Path) -> dict[str, str]:
    """The environment of programs of a folder: where libraries are that this machine lacks."""
    return {} if _loader(folder) else {"LD_LIBRARY_PATH": _libraries(folder)}


def _loader(folder: Path) -> Path | None:
    return next(folder.glob("usr/lib/*-linux-gnu*/ld-linux*.so*"), None)


def _libraries(folder: Path) -> str:
    # Chromium's libpulse has a part of its own in a folder below.
    found = (*folder.glob("usr/lib/*-linux-gnu*"), *folder.glob("usr/lib/*-linux-gnu*/pulseaudio"))
    return ":".join(str(path) for path in sorted(found))


def _unpack(packages: tuple[str, ...], folder: Path, suite: str | None) -> None:
    asked = ", ".join(packages)
    if not shutil.which("apt-get"):
        pytest.skip(f"{asked}: this machine has no apt-get to unpack it with")
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        options = _of_suite(suite, part / "apt") if suite else []
        simulated = _apt(options, "install", "--simulate", "--no-install-recommends", *packages)
        needed = set(re.findall(r"^Inst (\S+)", simulated, re.MULTILINE))
        if suite:
            # Of a whole system the libraries.
            needed = {name for name in needed if name.startswith("lib")}
        _apt(options, "download", *sorted(needed.union(packages)), cwd=part)
        for package in sorted(part.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, part], check=True)  # noqa: S603, S607
            package.unlink()
    except subprocess.SubprocessError as error:
        shutil.rmtree(part)
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        pytest.skip(f"{asked}: apt-get cannot give it: {' '.join(said)}")
    part.rename(folder)


def _of_suite(suite: str, folder: Path) -> list[str]:
    """Options with which apt sees another suite, from the places of the machine's own."""
    found = next((path for path in _SOURCES if path.is_file() and path.stat().st_size), None)
    if found is None:
        pytest.skip(f"{suite}: this machine says nowhere where its own packages come from")
    release = Path("/etc/os-release").read_text()
    own = re.search(r"^VERSION_CODENAME=(\S+)", release, re.MULTILINE)
    sources = folder / f"suite{found.suffix}"
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    sources.write_text(found.read_text().replace(own[1] if own else "", suite))
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Dir::State::status": "/dev/null",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    _apt(options, "update")
    return options


def _apt(options: list[str], *arguments: str, cwd: Path | None = None) -> str:
    return subprocess.run(  # noqa: S603
        ["apt-get", "--quiet", *options, *arguments],  # noqa: S607
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    ).stdout
