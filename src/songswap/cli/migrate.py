"""``songswap migrate``: brings the warehouse's schema up to date."""

import os
import time
from typing import Annotated

import typer

from songswap.errors import WarehouseUnavailable
from songswap.terminal.console import err


def migrate(
    to: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="Take the schema back to this version, for an earlier songswap; by default the"
            " version that this one needs.",
        ),
    ] = "",
    wait_s: Annotated[
        float, typer.Option(min=0, help="Seconds to retry while the warehouse cannot be reached.")
    ] = 0,
    with_indexes: Annotated[
        bool,
        typer.Option(
            "--indexes",
            help="Then build the indexes that the platform's reads need on the web app's tables,"
            " without blocking reads and writes.",
        ),
    ] = False,
) -> None:
    """Create missing tables in the warehouse, and bring songswap's own up to date.

    Reads AIRFLOW_CONN_SONGSWAP_RDS. The web app's tables stay as they are.
    """
    from songswap import settings
    from songswap.warehouse import indexes
    from songswap.warehouse.migrate import VERSION
    from songswap.warehouse.migrate import migrate as bring_up_to_date

    dsn = settings.warehouse_dsn(os.environ)
    until, shown = time.monotonic() + wait_s, ""
    while True:
        try:
            migrated = bring_up_to_date(dsn, to or VERSION)
            break
        except WarehouseUnavailable as error:
            if time.monotonic() >= until:
                raise
            if str(error) != shown:
                shown = str(error)
                err.say(f"{shown} Trying again for up to {wait_s:g} s.")
            time.sleep(1)
    err.say(
        f"The warehouse's schema is at version {to or VERSION}. The platform's tables are those in"
        f" schema {migrated.platform}."
    )
    if migrated.advice:
        err.print(migrated.advice)
    if with_indexes:
        indexes.build(dsn, err.print)
