"""Reads the warehouse for the page, so that neither the warehouse nor Airflow has to wait for it.

Airflow's api-server has a few dozen threads for all requests together. So a read ends within
seconds whatever the warehouse does, and only some run at once: all others are refused at once.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple, TypeVar

import psycopg

from songswap.errors import WarehouseBusy
from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.session import Session
from songswap.warehouse.timeouts import Limits

CONNECTION = "SongSwap_RDS_ReadOnly"

_LIMITS = Limits(lock_s=2, turn_s=2, statement_s=4, idle_s=10, silence_s=4, lease_s=8)
_CONNECT_S = 3
_AT_ONCE = 4
_MOST_WAITING = 8
_TURN_S = 1
_KEPT_S = 120
"""The age at which a session is replaced, so that a changed connection is used soon."""

T = TypeVar("T")


class _Kept(NamedTuple):
    session: Session
    opened: float


class Reader:
    """Runs reads on the warehouse, on sessions that it keeps for a while.

    Args:
        find_dsn: returns the connection string, for each session anew.
    """

    def __init__(self, find_dsn: Callable[[], str]) -> None:
        self._find_dsn = find_dsn
        self._kept: list[_Kept] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_AT_ONCE + _MOST_WAITING)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def read(self, query: Callable[[psycopg.Connection], T]) -> T:
        """Return what ``query`` reads, in one transaction that cannot write.

        Raises:
            SettingsError: the connection is missing or cannot be read.
            WarehouseBusy: others are reading, or a statement took too long.
            WarehouseError: the warehouse refused, or could not be reached.
        """
        with self._turn(), translate_errors():
            kept = self._take()
            if kept is not None:
                try:
                    return self._run(kept, query)
                except psycopg.OperationalError as error:
                    if not _is_lost(error):
                        raise
            return self._run(_Kept(self._connect(), monotonic()), query)

    def close(self) -> None:
        """Close the sessions that are kept."""
        with self._lock:
            kept, self._kept = self._kept, []
        for one in kept:
            one.session.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._turns.acquire(timeout=_TURN_S):
                raise _busy()
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()

    def _run(self, kept: _Kept, query: Callable[[psycopg.Connection], T]) -> T:
        session = kept.session
        try:
            with session.transaction():
                # Also where the connection has the login of the pipeline.
                session.execute("SET TRANSACTION READ ONLY")
                found = query(session)
        except BaseException:
            # The next read looks the connection up again: somebody may have corrected it.
            session.close()
            raise
        with self._lock:
            self._kept.append(kept)
        return found

    def _take(self) -> _Kept | None:
        """Return a session that was kept, and close those that are too old."""
        oldest = monotonic() - _KEPT_S
        with self._lock:
            old = [kept for kept in self._kept if kept.opened < oldest]
            self._kept = [kept for kept in self._kept if kept.opened >= oldest]
            taken = self._kept.pop() if self._kept else None
        for kept in old:
            kept.session.close()
        return taken

    def _connect(self) -> Session:
        dsn = psycopg.conninfo.make_conninfo(
            self._find_dsn(), connect_timeout=str(_CONNECT_S), application_name="songswap page"
        )
        return Session.connect(dsn, autocommit=True, limits=_LIMITS)


def _is_lost(error: psycopg.Error) -> bool:
    """Return whether the session had ended while it was idle: a restart, a failover, a pooler."""
    return (error.sqlstate or "57P").startswith(("08", "57P"))


def _busy() -> WarehouseBusy:
    return WarehouseBusy(
        f"The warehouse (connection {CONNECTION}) is slow, and others are waiting for it already."
        " Try again in a minute."
    )
