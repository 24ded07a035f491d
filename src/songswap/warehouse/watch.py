"""Watch waits on the server: end those on a frozen server, and name who holds a lock.

    statement ──▶ waits ──▶ check, over another connection: is the server alive, who holds the lock

A frozen server still acknowledges packets, so that TCP notices nothing, but sends no response. Who
holds a lock can only be looked up during the wait for it.
"""

import logging
import threading
from collections.abc import Generator
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import psycopg

from songswap.warehouse.conninfo import to_same_server
from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import Limits

log = logging.getLogger(__name__)

_SQL = statements("watch.sql")

Result = TypeVar("Result")
Steps = Generator[Any, Any, Result]
"""What psycopg drives on a connection: yields what to wait for, and is sent whether it is ready."""


class Watch:
    """Watches the waits of one connection.

    ``pid`` is the server process of the session: behind a pooler each transaction can have another.

    Args:
        dsn: for the connections that check.
        connection: is closed when its server is frozen.
        within: how long it may wait.
    """

    def __init__(self, dsn: str, connection: "psycopg.BaseConnection[Any]", within: Limits) -> None:
        self._dsn = to_same_server(dsn, connection)
        self._connection = connection
        self._within = within
        self.pid = connection.info.backend_pid

    def over(self, gen: Steps[Result]) -> Steps[Result]:
        """Drive ``gen``; an error that ends it gets a note on who held the lock.

        Raises:
            psycopg.OperationalError: the server gives no sign of life, or never ends the statement.
        """
        within, check = self._within, None
        holders = ""
        began = sign = checked = monotonic()
        ready: Any = None
        while True:
            try:
                state = gen.send(ready)
            except StopIteration as end:
                result: Result = end.value
                return result
            except psycopg.Error as error:
                if holders:
                    error.add_note(holders)
                raise
            ready = yield state
            now = monotonic()
            if ready:
                sign = now
                continue
            if check and not check.is_alive():
                sign = now if check.responded else sign
                holders, check = check.holders or holders, None
            if now - checked >= within.check_s and check is None:
                check, checked = _Check(self._dsn, self.pid, within), now
                check.start()
            if now - sign > within.silence_s + within.check_s:
                self._give_up(f"it has given no sign of life for {now - sign:.0f} s")
            if now - began > within.statement_s + within.silence_s:
                self._give_up(f"it has not ended a statement in {now - began:.0f} s")

    def _give_up(self, why: str) -> None:
        self._connection.pgconn.finish()
        raise psycopg.OperationalError(f"the server does not answer: {why}")


class _Check(threading.Thread):
    """One check over another connection, during the wait.

    ``responded`` is true when the server sent anything; ``holders`` is a sentence on who holds the
    lock that the session waits for, empty if nobody does.
    """

    def __init__(self, dsn: str, pid: int, within: Limits) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._params = {"pid": pid, "copy_s": within.copy_s}
        self.responded = False
        self.holders = ""

    def run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                self.responded = True
                rows = connection.execute(_SQL["holders"], self._params).fetchall()
                self.holders = _sentence(rows)
                for pid, _ in connection.execute(_SQL["end_frozen"], self._params):
                    log.warning(
                        "Session %d of PostgreSQL was ended: it held a lock of loads, and its"
                        " process sent nothing.",
                        pid,
                    )
        except psycopg.errors.ConnectionTimeout:
            pass
        except psycopg.Error:
            # Such as too many connections. A refused connection fails the waiting session too.
            self.responded = True


def _sentence(rows: list[tuple[int, str | None, str | None, datetime | None]]) -> str:
    if not rows:
        return ""
    return f"Held by {'; '.join(_holder(*row) for row in rows)}."


def _holder(pid: int, name: str | None, state: str | None, since: datetime | None) -> str:
    if not pid:
        return "a prepared transaction"
    parts = [f"{name} (pid {pid})", state or ""]
    if since:
        parts.append(f"since {since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    return ", ".join(filter(None, parts))
