"""What the commands share: settings of a demo, run ids, the connection to the warehouse."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from songswap.cli import demo_settings
from songswap.clock import utc_now
from songswap.errors import (
    ArchiveError,
    ArchiveNotErased,
    ArchiveUnreadable,
    ConnectFailed,
    RunFailed,
    SettingsError,
    SpotifyUnavailable,
    WarehouseUnavailable,
)
from songswap.supervision.errors import StackError
from songswap.terminal.console import err

if TYPE_CHECKING:
    import psycopg

_UNREACHABLE = (
    *(ArchiveError, ArchiveNotErased, ArchiveUnreadable, ConnectFailed, RunFailed),
    *(SpotifyUnavailable, WarehouseUnavailable),
)


class WithSettings(TyperCommand):
    """A command that reads the settings from the environment.

    Without any it uses those of the demo in its folder. If it fails because that demo is not
    running, the error says so.
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
        except _UNREACHABLE as error:
            if folder := demo_settings.stopped_demo(os.environ):
                raise StackError(_not_running(folder)) from error
            raise
        except typer.Exit as end:
            if end.exit_code and (folder := demo_settings.stopped_demo(os.environ)):
                err.say(_not_running(folder))
            raise


def _folder() -> Path:
    """The working folder; the root if the working folder was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def _not_running(folder: Path) -> str:
    home, is_default = folder.parent, folder.name == ".songswap"
    command = "make demo" if is_default and (home / "Makefile").is_file() else "songswap demo"
    if not is_default:
        command += f" --state {shlex.quote(str(folder))}"
    elif home != _folder():
        command = f"cd {shlex.quote(str(home))} && {command}"
    return f"The demo in {folder} is not running. Start it with: {command}"


def new_run_id(kind: str) -> str:
    """An id such as Airflow's own, for example `replay__2026-11-27T08:00:00.000000+0000`."""
    return f"{kind}__{utc_now():%Y-%m-%dT%H:%M:%S.%f%z}"


@contextmanager
def open_warehouse(dsn: str) -> "Iterator[psycopg.Connection]":
    """Connect to the warehouse, and raise SchemaOutdated if its schema is not of this version."""
    from songswap.warehouse.connection import connect
    from songswap.warehouse.migrate import require_schema

    with connect(dsn) as connection:
        require_schema(connection)
        yield connection


def examples(*lines: str) -> str:
    """The examples at the end of a command's help.

    Args:
        lines: the command lines, each without `songswap`.
    """
    return "\n\n".join(("Examples:", *(f"songswap {line}" for line in lines)))


_ORDER = (
    *("demo", "migrate", "connect", "check", "load", "status", "grants", "import", "export"),
    *("backfill", "replay", "erase", "drain", "spool", "maintenance", "deployment", "dags"),
    *("spark", "simulator"),
)


class InOrder(TyperGroup):
    """The commands in the order in which users need them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List the names of the commands."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)
