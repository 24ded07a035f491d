"""``songswap grants``: the users whose grant has ended or ends soon, as a table or JSON."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songswap.cli.command import open_warehouse
from songswap.terminal.console import (
    JsonOption,
    Rows,
    as_json,
    minute,
    out,
    print_json,
    shortened,
)

if TYPE_CHECKING:
    from songswap.warehouse.grant_states import GrantStatus

_NAME_CELLS = 20
_AGAIN = "authorize again"
_NEXT_RUN = "retry in the next run"


class State(StrEnum):
    """The states of a grant."""

    active = "active"
    expiring = "expiring"
    expired = "expired"
    revoked = "revoked"
    lost = "lost"
    forbidden = "forbidden"


def grants(
    state: Annotated[
        list[State] | None,
        typer.Option(help="A state to show, once or more; all but the active ones if left out."),
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", help="Show all that is known of each, in a wide table.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the grants that have ended or end within 30 days: the users have to authorize again.

    'songswap connect' stores their new tokens; signing in to the web app does not.

    Reads AIRFLOW_CONN_SONGSWAP_RDS. Changes nothing, and shows no token.
    """
    from songswap import settings
    from songswap.clock import utc_now
    from songswap.warehouse import grant_states, tokens

    states = state or [each for each in State if each != State.active]
    now = utc_now()
    with open_warehouse(settings.warehouse_dsn(os.environ)) as connection:
        found = grant_states.find(connection, states, now)
        narrow = tokens.narrow_columns(connection)
    rows = [_row(grant, now) for grant in found]
    if as_json:
        columns = [column._asdict() | {"remedy": column.remedy} for column in narrow]
        print_json({"grants": rows, "narrow_columns": columns})
        return
    if rows:
        out.print(_long_table(rows) if long else _table(rows, now))
    else:
        out.say("No grant is in one of these states.")
    for column in narrow:
        out.say(column.sentence)


def _row(grant: "GrantStatus", now: datetime) -> dict[str, Any]:
    left = None if grant.ends_at is None else max(grant.ends_at - now, timedelta(0)).days
    return as_json(grant._asdict() | {"days_left": left})


def _table(rows: Sequence[Mapping[str, Any]], now: datetime) -> Rows:
    """The users and their next step, in 80 columns."""
    columns = ("user", "name", "state", "ends in", "next step (UTC)")
    table = Rows(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.columns[0].justify = table.columns[3].justify = "right"
    for row in rows:
        table.add_row(
            str(row["user_id"]),
            shortened(row["username"], _NAME_CELLS),
            row["state"],
            _ends_in(row),
            _next_step(row, now),
        )
    return table


def _ends_in(row: Mapping[str, Any]) -> str:
    if row["state"] == State.expired:
        return "over"
    if row["days_left"] is None:
        return "–"
    return f"{row['days_left']:,} {'day' if row['days_left'] == 1 else 'days'}"


def _next_step(row: Mapping[str, Any], now: datetime) -> str:
    """What happens next, or what the user has to do."""
    match row["state"]:
        case State.active:
            return "–"
        case State.expiring:
            return f"authorize by {row['ends_at'][:10]}"
        case State.expired:
            return _AGAIN
    if row["ask_again_at"] is None:
        # A user who was forbidden once is polled as before; a refused grant is never retried.
        return _NEXT_RUN if row["state"] == State.forbidden else _AGAIN
    due = datetime.fromisoformat(row["ask_again_at"]) <= now
    return _NEXT_RUN if due else f"retry {minute(row['ask_again_at'])}"


def _long_table(rows: Sequence[Mapping[str, Any]]) -> Rows:
    columns = ("user", "name", "state", "authorized", "ends", "refreshed", "problem")
    table = Rows(*columns, "tried again", "days left", title="Grants (times in UTC)")
    for row in rows:
        table.add_row(
            *("–" if value is None else _short(name, str(value)) for name, value in row.items())
        )
    return table


def _short(name: str, text: str) -> str:
    return minute(text) if name.endswith("_at") else text
