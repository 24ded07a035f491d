"""How the command line runs a command: with the settings that there are, and in what order."""

import os
import shlex
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from songswap.cli import demo_settings
from songswap.errors import (
    ArchiveError,
    ArchiveUnreadable,
    ConnectFailed,
    RunFailed,
    SettingsError,
    SpotifyUnavailable,
    WarehouseUnavailable,
)
from songswap.supervision.errors import StackError
from songswap.terminal.console import err

_UNREACHED = (
    *(ArchiveError, ArchiveUnreadable, ConnectFailed, RunFailed),
    *(SpotifyUnavailable, WarehouseUnavailable),
)


class WithSettings(TyperCommand):
    """A command that reads the settings from the environment.

    Where they are not set it takes those of the demo in its folder, and where a demo that is not
    running is why it failed, it says that.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        found = demo_settings.complete(os.environ, _folder())
        if found is not None and found.file is not None:
            err.say(found.sentence)
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            if found is None or found.file is not None:
                raise
            raise SettingsError(f"{error} {found.sentence}") from error
        except _UNREACHED as error:
            if folder := demo_settings.stopped_demo(os.environ):
                raise StackError(_not_running(folder)) from error
            raise
        except typer.Exit as ended:
            if ended.exit_code and (folder := demo_settings.stopped_demo(os.environ)):
                err.say(_not_running(folder))
            raise


def _folder() -> Path:
    """The working folder; the root where somebody has removed it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def _not_running(folder: Path) -> str:
    home, own = folder.parent, folder.name == ".songswap"
    command = "make demo" if own and (home / "Makefile").is_file() else "songswap demo"
    if not own:
        command += f" --state {shlex.quote(str(folder))}"
    elif home != _folder():
        command = f"cd {shlex.quote(str(home))} && {command}"
    return f"The demo in {folder} is not running. Start it with: {command}"


def examples(*lines: str) -> str:
    """The end of a command's help: what can be typed, each line without `songswap`."""
    return "\n\n".join(("Examples:", *(f"songswap {line}" for line in lines)))


_ORDER = (
    *("demo", "migrate", "connect", "check", "load", "status", "grants", "import", "backfill"),
    *("replay", "spool", "deployment", "dags", "spark", "simulator"),
)


class InOrder(TyperGroup):
    """The commands in the order in which they are come to need."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name them."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)
