"""``songswap grants``: whose grant is dead or ends soon, as a table or JSON."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songswap.terminal.console import JsonOption, Rows, as_json, out, print_json, shortened

if TYPE_CHECKING:
    from songswap.warehouse.grant_states import GrantStatus

_NAME_CELLS = 20
_AGAIN = "authorize again"
_NEXT_RUN = "retry in the next run"


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
    long: Annotated[
        bool, typer.Option("--long", help="Show all that is known of each, in a wide table.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show whose grant is dead or ends within 30 days: those users have to authorize again.

    'songswap connect' takes their new tokens; signing in to the web app changes none.

    Reads AIRFLOW_CONN_SONGSWAP_RDS. Changes nothing, and shows no token.
    """
    from songswap import settings
    from songswap.clock import utc_now
    from songswap.warehouse import grant_states, tokens
    from songswap.warehouse.connection import connect
    from songswap.warehouse.migrate import require_schema

    states = state or [one for one in State if one != State.active]
    now = utc_now()
    with connect(settings.warehouse_dsn(os.environ)) as connection:
        require_schema(connection)
        found = grant_states.find(connection, states, now)
        narrow = tokens.narrow_columns(connection)
    told = [_told(one, now) for one in found]
    if as_json:
        columns = [column._asdict() | {"remedy": column.remedy} for column in narrow]
        print_json({"grants": told, "narrow_columns": columns})
        return
    if told:
        out.print(_long_table(told) if long else _table(told, now))
    else:
        out.say("Nobody's grant is in one of these states.")
    for column in narrow:
        out.say(column.sentence)


def _told(one: "GrantStatus", now: datetime) -> dict[str, Any]:
    left = None if one.ends_at is None else max(one.ends_at - now, timedelta(0)).days
    return as_json(one._asdict() | {"days_left": left})


def _table(told: Sequence[Mapping[str, Any]], now: datetime) -> Rows:
    """Who, and what is to be done: 80 columns are enough."""
    columns = ("user", "name", "state", "ends in", "next step (UTC)")
    table = Rows(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.columns[0].justify = table.columns[3].justify = "right"
    for row in told:
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
    """What happens next, or who has to do what."""
    match row["state"]:
        case State.active:
            return "–"
        case State.expiring:
            return f"authorize by {row['ends_at'][:10]}"
        case State.expired:
            return _AGAIN
    if row["ask_again_at"] is None:
        # Who was forbidden once is asked for as before; a refused grant is tried no more.
        return _NEXT_RUN if row["state"] == State.forbidden else _AGAIN
    due = datetime.fromisoformat(row["ask_again_at"]) <= now
    return _NEXT_RUN if due else f"retry {_minute(row['ask_again_at'])}"


def _long_table(told: Sequence[Mapping[str, Any]]) -> Rows:
    columns = ("user", "name", "state", "authorized", "ends", "refreshed", "problem")
    table = Rows(*columns, "tried again", "days left", title="Grants (times in UTC)")
    for row in told:
        table.add_row(
            *("–" if value is None else _short(name, str(value)) for name, value in row.items())
        )
    return table


def _short(name: str, text: str) -> str:
    return _minute(text) if name.endswith("_at") else text


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
