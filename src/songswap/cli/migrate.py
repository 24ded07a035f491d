"""Bring the warehouse's schema up to date."""

import os
import time
from typing import Annotated

import typer

from songswap.errors import WarehouseUnavailable
from songswap.terminal.console import (
    err,
)


def migrate(
    to: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="Take the schema back to this version, for an earlier songswap; what this one"
            " needs if left out.",
        ),
    ] = "",
    wait_s: Annotated[
        float, typer.Option(min=0, help="Try for so long while it cannot be connected to.")
    ] = 0,
    with_indexes: Annotated[
        bool,
        typer.Option(
            "--indexes",
            help="Then build the indexes that the platform's reads need on tables of the web app,"
            " while others read and write them.",
        ),
    ] = False,
) -> None:
    """Create the tables that are missing in the warehouse, and bring ours up to date.

    Reads AIRFLOW_CONN_SONGSWAP_RDS. Tables that the web app has made are left as they are.
    """
    from songswap import settings
    from songswap.warehouse import indexes
    from songswap.warehouse.migrate import VERSION
    from songswap.warehouse.migrate import migrate as bring_up_to_date

    dsn = settings.warehouse_dsn(os.environ)
    until, said = time.monotonic() + wait_s, ""
    while True:
        try:
            migrated = bring_up_to_date(dsn, to or VERSION)
            break
        except WarehouseUnavailable as error:
            if time.monotonic() >= until:
                raise
            if str(error) != said:
                said = str(error)
                err.say(f"{said} Trying again for up to {wait_s:g} s.")
            time.sleep(1)
    err.say(
        f"The warehouse's schema is at version {to or VERSION}. The platform's tables are those in"
        f" schema {migrated.platform}."
    )
    if migrated.advice:
        err.print(migrated.advice, markup=False)
    if with_indexes:
        indexes.build(dsn, lambda sentence: err.print(sentence, markup=False, highlight=False))
