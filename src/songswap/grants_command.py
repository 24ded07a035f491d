"""``songswap grants``: whose grant is dead or ends soon, as a table or JSON."""

import json
import os
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from songswap.terminal import JsonOption, as_json

if TYPE_CHECKING:
    from songswap.warehouse.grant_state import Standing


class State(StrEnum):
    """How a grant can stand."""

    active = "active"
    expiring = "expiring"
    expired = "expired"
    revoked = "revoked"
    lost = "lost"
    forbidden = "forbidden"


def grants(
    state: Annotated[
        list[State] | None,
        typer.Option(help="Which to show, once or more; all but the active ones if left out."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show whose grant is dead or ends within 30 days: those users have to authorize again.

    'songswap connect' takes their new tokens; signing in to the web app changes none.

    Reads AIRFLOW_CONN_SONGSWAP_RDS. Changes nothing, and shows no token.
    """
    from songswap import settings
    from songswap.spotify.client import utc_now
    from songswap.warehouse import grant_state, tokens
    from songswap.warehouse.connection import connect
    from songswap.warehouse.migrate import require_schema

    states = state or [one for one in State if one != State.active]
    now = utc_now()
    with connect(settings.warehouse_dsn(os.environ)) as connection:
        require_schema(connection)
        found = grant_state.find(connection, states, now)
        narrow = tokens.narrow_columns(connection)
    told = [_told(one, now) for one in found]
    if as_json:
        columns = [column._asdict() | {"remedy": column.remedy} for column in narrow]
        typer.echo(json.dumps({"grants": told, "narrow_columns": columns}))
    else:
        Console().print(_table(told) if told else "Nobody's grant is in one of these states.")
        for column in narrow:
            Console().print(column.sentence, markup=False, highlight=False)


def _told(one: "Standing", now: datetime) -> dict[str, Any]:
    left = None if one.ends_at is None else max(one.ends_at - now, timedelta(0)).days
    return as_json(one._asdict() | {"days_left": left})


def _table(told: list[dict[str, Any]]) -> Table:
    columns = ("user", "name", "state", "authorized", "ends", "refreshed", "problem")
    table = Table(*columns, "tried again", "days left", title="Grants (times in UTC)")
    for row in told:
        table.add_row(
            *("–" if value is None else _short(name, str(value)) for name, value in row.items())
        )
    return table


def _short(name: str, text: str) -> str:
    return text[:16].replace("T", " ") if name.endswith("_at") else text
