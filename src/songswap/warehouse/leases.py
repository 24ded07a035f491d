"""Leases of runs: who works on a run renews its lease, and a run without one is dead."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg

from songswap.errors import WarehouseError
from songswap.warehouse.connection import connect
from songswap.warehouse.sql import scalar, statements
from songswap.warehouse.timeouts import limits

log = logging.getLogger(__name__)

LONGEST_RUN = timedelta(minutes=55)
"""How long an hourly run may take before it makes room for the next one."""

_RENEWALS = 4
"""How often a lease is renewed before it would expire."""

_JOIN_S = 5.0
"""How long to wait for a renewal in progress; its server may be gone."""

_DIED = (
    "It was killed before it could report: its process, or its machine. What Spotify returned is"
    " in the spool; the next run loads it."
)

_SQL = statements("leases.sql")


def duration() -> timedelta:
    """Return how long a lease lasts unless it is renewed."""
    return timedelta(seconds=limits().lease_s)


def renew(connection: psycopg.Connection, run_id: str) -> None:
    """Renew the lease of a run that has not ended."""
    connection.execute(_SQL["renew"], {"run_id": run_id, "lease": duration()})


@contextmanager
def renewing(dsn: str, run_id: str) -> Iterator[None]:
    """Renew the lease of a run from a thread for as long as the block lasts."""
    ended = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(ended, dsn, run_id), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_S)


def _renew_until(ended: threading.Event, dsn: str, run_id: str) -> None:
    while not ended.wait(limits().lease_s / _RENEWALS):
        try:
            with connect(dsn) as connection:
                renew(connection, run_id)
        except WarehouseError as error:
            # The run itself meets the same failure, and reports it in full.
            log.info("The lease of run %s was not renewed: %s.", run_id, type(error).__name__)


def end_dead_runs(connection: psycopg.Connection, now: datetime, run_id: str | None = None) -> None:
    """Record as died each running run whose lease has expired.

    Args:
        run_id: the caller's own run, which may have waited long between two steps.
    """
    params = {"now": now, "run_id": run_id, "problem": _DIED}
    connection.execute(_SQL["end_dead_runs"], params)


def is_hourly_run_active(connection: psycopg.Connection, now: datetime) -> bool:
    """Return whether an hourly run is in progress, after `end_dead_runs`.

    A run older than 55 minutes, or older than another one that has ended, does not count.
    """
    end_dead_runs(connection, now)
    params = {"since": now - LONGEST_RUN}
    return bool(scalar(connection.execute(_SQL["is_hourly_run_active"], params)))
