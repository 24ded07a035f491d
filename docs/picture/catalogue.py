"""The tables of a warehouse as its catalogue tells them."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import named


class Column(NamedTuple):
    """A column of a table; ``key`` where it is of the primary key."""

    name: str
    type: str
    key: bool
    nullable: bool


class Reference(NamedTuple):
    """A foreign key: a table's column, and the one that it refers to."""

    table: str
    column: str
    target: str
    target_column: str


Tables = dict[str, list[Column]]
"""Columns by table, its schema before its name."""


def read(dsn: str) -> tuple[Tables, list[Reference]]:
    """The tables of the platform and of the pipeline, and their foreign keys."""
    queries = named(Path(__file__).with_suffix(".sql").read_text())
    tables: Tables = defaultdict(list)
    with psycopg.connect(dsn) as connection:
        for table, *column in connection.execute(queries["columns"]):
            tables[table].append(Column(*column))
        return dict(tables), [Reference(*row) for row in connection.execute(queries["references"])]
