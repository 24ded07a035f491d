"""The settings of a demo, for commands in its folder that have none.

`make demo` writes them to ``.songswap/environment``, as a shell's exports. A command in that folder
finds the file by itself. Settings in the environment or in ``.env`` win.
"""

import os
import shlex
import stat
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import NamedTuple

_WAREHOUSE = "AIRFLOW_CONN_SONGSWAP_RDS"
_SPOOL = "SONGSWAP_SPOOL"
_STATE = "SONGSWAP_STATE"
_OURS = ("AIRFLOW_CONN_", "AIRFLOW_VAR_", "SPOTIFY_", "SONGSWAP_", "RECCOBEATS_")
# Addresses and logins: mixed from two sources, plays of one would be loaded into the other.
_PLACES = ("AIRFLOW_CONN_", "AIRFLOW_VAR_", "SPOTIFY_", "RECCOBEATS_")
_OF_A_TASK = ("AIRFLOW_CTX_DAG_ID", "SONGSWAP_STACK")
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Found(NamedTuple):
    """The file whose settings are used, None if they are not, and a sentence about it."""

    file: Path | None
    sentence: str


def complete(environment: MutableMapping[str, str], folder: Path) -> Found | None:
    """Add the settings of the demo in a folder to an environment that names no warehouse.

    Returns:
        None if a warehouse is set, or there is no demo.
    """
    if environment.get(_WAREHOUSE, "").strip() or any(name in environment for name in _OF_A_TASK):
        return None
    file = folder / (environment.get(_STATE) or ".songswap") / "environment"
    try:
        settings = dict(_read(file))
    except (FileNotFoundError, NotADirectoryError):
        return _of_a_parent(folder)
    except (OSError, ValueError) as error:
        return Found(None, f"The settings in {file} are not used: {error}.")
    present = {name: value for name in settings if (value := environment.get(name, "").strip())}
    differing = [
        name
        for name, value in present.items()
        if name.startswith(_PLACES) and value != settings[name]
    ]
    if differing:
        return Found(
            None,
            f"The settings of the demo in {file} are not used, because {differing[0]} has another"
            f" value. To use them: . {shlex.quote(str(file))}",
        )
    environment.update({**settings, **present})
    return Found(file, f"No warehouse is set: the settings are those of the demo, {file}.")


def stopped_demo(environment: Mapping[str, str]) -> Path | None:
    """The folder of the demo whose settings an environment has; None if that demo is running."""
    import psutil

    folder = Path(environment.get(_SPOOL) or ".").absolute().parent
    try:
        settings = dict(_read(folder / "environment"))
        pid = int((folder / "lock").read_text())
    except (OSError, ValueError):
        return None  # this is not the folder of a demo
    is_same = settings.get(_WAREHOUSE) == environment.get(_WAREHOUSE)
    return folder if is_same and not psutil.pid_exists(pid) else None


def _of_a_parent(folder: Path) -> Found | None:
    """A hint at the demo of a parent folder: commands use only the demo of their own."""
    for parent in folder.absolute().parents:
        file = parent / ".songswap" / "environment"
        try:
            is_own = file.stat().st_uid == os.geteuid()
        except OSError:
            continue
        if is_own:
            line = f". {shlex.quote(str(file))}"
            return Found(None, f"There is a demo in {parent}. To use its settings: {line}")
    return None


def _read(file: Path) -> Iterator[tuple[str, str]]:
    """Parse the settings that a file exports; nothing in it is run.

    Raises:
        OSError: it cannot be read.
        ValueError: other users can write to it, or it has something else than exports.
    """
    with file.open() as opened:
        for what, info in (("it", os.fstat(opened.fileno())), ("its folder", file.parent.stat())):
            if info.st_uid != os.geteuid():
                raise ValueError(f"{what} belongs to another user")
            if info.st_mode & _OTHERS_MAY_WRITE:
                raise ValueError(f"others may write to {what}")
        for line in opened:
            words = shlex.split(line, comments=True)
            if not words:
                continue
            name, separator, value = words[-1].partition("=")
            if len(words) != 2 or words[0] != "export" or not separator:
                raise ValueError("a line of it does not export a setting")
            if name.startswith(_OURS):
                yield name, value
