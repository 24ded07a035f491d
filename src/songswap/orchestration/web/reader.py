"""Reads the warehouse for the page, so that neither the warehouse nor Airflow has to wait for it.

Airflow's api-server has a few dozen threads for all requests together. So a read ends within
seconds whatever the warehouse does, and only some run at once: all others are refused at once.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from songswap.errors import SettingsError, WarehouseBusy
from songswap.orchestration.connections import find_connection
from songswap.settings.warehouse_dsn import dsn_of
from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.session import Session
from songswap.warehouse.timeouts import Limits

log = logging.getLogger(__name__)

CONNECTION = "SongSwap_RDS_ReadOnly"

_LIMITS = Limits(lock_s=2, turn_s=2, statement_s=4, idle_s=10, silence_s=4, lease_s=8)
_CONNECT_S = 3
_AT_ONCE = 4
_TURN_S = 1
_KEPT_S = 120
"""For how long a session is kept for the next request: pages refresh themselves each minute."""

T = TypeVar("T")


class _Kept(NamedTuple):
    session: Session
    since: float


class Reader:
    """Runs reads on the warehouse, on sessions that it keeps for a while.

    Args:
        find_dsn: returns the connection string. It is asked for each session, so that a corrected
            connection is used without a restart.
    """

    def __init__(self, find_dsn: Callable[[], str]) -> None:
        self._find_dsn = find_dsn
        self._kept: list[_Kept] = []
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def read(self, query: Callable[[psycopg.Connection], T]) -> T:
        """Return what ``query`` reads, in one transaction that cannot write.

        Raises:
            SettingsError: the connection is missing or cannot be read.
            WarehouseBusy: others are reading, or a statement took too long.
            WarehouseError: the warehouse refused, or could not be reached.
        """
        with self._turn(), translate_errors():
            session = self._take()
            if session is not None:
                try:
                    return self._run(session, query)
                except psycopg.OperationalError:
                    # The server ended it while it was idle: a restart, a failover, a pooler.
                    if not session.closed:
                        raise
            return self._run(self._connect(), query)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=_TURN_S):
            raise WarehouseBusy(
                f"The warehouse (connection {CONNECTION}) is slow: {_AT_ONCE} pages are waiting for"
                " it already. Try again in a minute."
            )
        try:
            yield
        finally:
            self._turns.release()

    def _run(self, session: Session, query: Callable[[psycopg.Connection], T]) -> T:
        try:
            with session.transaction():
                # Also where the connection has the login of the pipeline.
                session.execute("SET TRANSACTION READ ONLY")
                return query(session)
        finally:
            if session.info.transaction_status == TransactionStatus.IDLE:
                with self._lock:
                    self._kept.append(_Kept(session, monotonic()))
            elif not session.closed:
                session.close()

    def _take(self) -> Session | None:
        """Return the session that was used last; close those that were kept for too long."""
        with self._lock:
            kept = self._kept
            taken = kept.pop() if kept else None
            old = [one for one in kept if monotonic() - one.since > _KEPT_S]
            self._kept = [one for one in kept if one not in old]
        for one in old:
            one.session.close()
        return taken.session if taken else None

    def _connect(self) -> Session:
        dsn = psycopg.conninfo.make_conninfo(
            self._find_dsn(), connect_timeout=str(_CONNECT_S), application_name="songswap page"
        )
        return Session.connect(dsn, autocommit=True, limits=_LIMITS)


def find_dsn() -> str:
    """Return the connection string of ``SongSwap_RDS_ReadOnly``.

    Raises:
        SettingsError: the connection is missing or cannot be read.
    """
    connection = find_connection(CONNECTION)
    if connection is None:
        raise SettingsError(
            f"The connection {CONNECTION} is not set in Airflow's api-server, so the page has"
            " nothing to read. Give it a login of the warehouse with SELECT alone:"
            ' docs/operations.md, "The page".'
        )
    return dsn_of(connection)
