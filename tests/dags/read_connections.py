"""Reads connections as Airflow's tasks and the provider's hook do; run in a process of Airflow.

    read_connections.py RESULT_FILE < texts.json

The texts are values of ``AIRFLOW_CONN_…``. The result has, for each of them and for the same
connection as Airflow writes it, what libpq gets from the hook, from a task and in a terminal.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from songswap.errors import SongSwapError
from songswap.orchestration.connections import read_warehouse
from songswap.settings.airflow_connection import parse_connection
from songswap.settings.warehouse_dsn import dsn_of


class _Hook(PostgresHook):
    """The provider's hook, which returns its arguments instead of connecting."""

    def _create_connection(self, conn_args: dict[str, Any]) -> Any:
        return {name: value for name, value in conn_args.items() if name != "row_factory"}


def _by_the_hook() -> dict[str, Any] | str:
    """Return what libpq gets, or the name of the error of the hook or of Airflow."""
    try:
        arguments: Any = _Hook(postgres_conn_id="SongSwap_RDS").get_conn()
        return conninfo_to_dict(make_conninfo(**arguments))
    except Exception as error:  # noqa: BLE001 - its class is the result
        return type(error).__name__


def _by_us(read: Callable[[], str]) -> dict[str, Any] | str:
    try:
        return conninfo_to_dict(read())
    except SongSwapError as error:
        return str(error)


def _all(text: str) -> dict[str, Any]:
    os.environ["AIRFLOW_CONN_SONGSWAP_RDS"] = text
    return {
        "text": text,
        "hook": _by_the_hook(),
        "task": _by_us(read_warehouse),
        "terminal": _by_us(lambda: dsn_of(parse_connection("The connection SongSwap_RDS", text))),
    }


def _rewritten(text: str) -> list[str]:
    """Return the text, and the same connection as Airflow writes it: as JSON and as a URI."""
    parse = Connection.from_json if text.startswith("{") else Connection.from_uri
    try:
        connection = parse(text, conn_id="SongSwap_RDS")
    except ValueError:
        return [text]
    return [text, connection.as_json(), connection.get_uri()]


results = [[_all(form) for form in _rewritten(text)] for text in json.load(sys.stdin)]
Path(sys.argv[1]).write_text(json.dumps(results))
