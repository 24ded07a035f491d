"""Data fixes: what was cut, cleaned or left out of rows that are stored."""

from collections.abc import Collection
from datetime import datetime

import psycopg

from songswap.models import DataFix
from songswap.warehouse.sql import statements

_SQL = statements("data_fixes.sql")


def store(connection: psycopg.Connection, fixes: Collection[tuple[DataFix, datetime]]) -> int:
    """Record fixes with the time at which each was made; return how many are new."""
    if not fixes:
        return 0
    params = {
        "kinds": [fix.kind for fix, _ in fixes],
        "ids": [fix.id for fix, _ in fixes],
        "fields": [fix.field for fix, _ in fixes],
        "problems": [fix.problem for fix, _ in fixes],
        "found_at": [found_at for _, found_at in fixes],
    }
    return connection.execute(_SQL["insert"], params).rowcount
