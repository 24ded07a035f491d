"""Watches over waits on the server: ended where it does not answer at all, with who is in the way.

    statement ──▶ waits ──▶ looks, over another connection: is the server alive, who is in the way

A server that is frozen still acknowledges what it is sent, so that TCP notices nothing, and says
nothing itself. Who held a lock can only be asked while one waits for it.
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
"""What psycopg drives on a connection: yields what to wait for, and is sent whether it came."""


class Watch:
    """Watches the waits of one connection.

    ``pid`` is that of the server's process at the other end: behind a pooler each transaction can
    have another one.

    Args:
        dsn: where to look from another connection.
        connection: is closed when its server is frozen.
        within: how long it may wait.
    """

    def __init__(self, dsn: str, connection: "psycopg.BaseConnection[Any]", within: Limits) -> None:
        self._dsn = to_same_server(dsn, connection)
        self._connection = connection
        self._within = within
        self.pid = connection.info.backend_pid

    def over(self, gen: Steps[Result]) -> Steps[Result]:
        """Drive ``gen``; who was in its way becomes a note of the error that ends it.

        Raises:
            psycopg.OperationalError: the server gives no sign of life, or no end of the statement.
        """
        within, look = self._within, None
        holders = ""
        began = sign = looked = monotonic()
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
            if look and not look.is_alive():
                sign = now if look.answered else sign
                holders, look = look.holders or holders, None
            if now - looked >= within.look_s and look is None:
                look, looked = _Look(self._dsn, self.pid, within), now
                look.start()
            if now - sign > within.silence_s + within.look_s:
                self._give_up(f"it has given no sign of life for {now - sign:.0f} s")
            if now - began > within.statement_s + within.silence_s:
                self._give_up(f"it has not ended a statement in {now - began:.0f} s")

    def _give_up(self, why: str) -> None:
        self._connection.pgconn.finish()
        raise psycopg.OperationalError(f"the server does not answer: {why}")


class _Look(threading.Thread):
    """One look from another connection, beside the wait.

    ``answered`` is true when the server said anything; ``holders`` is a sentence on who is in the
    way of the session, empty when nobody is.
    """

    def __init__(self, dsn: str, pid: int, within: Limits) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._about = {"pid": pid, "copy_s": within.copy_s}
        self.answered = False
        self.holders = ""

    def run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                self.answered = True
                rows = connection.execute(_SQL["holders"], self._about).fetchall()
                self.holders = _in_words(rows)
                for pid, _ in connection.execute(_SQL["end_frozen"], self._about):
                    log.warning(
                        "Session %d of PostgreSQL held the lock of all loads, and nothing came of"
                        " its process any more: it was ended.",
                        pid,
                    )
        except psycopg.errors.ConnectionTimeout:
            pass
        except psycopg.Error:
            # Such as too many connections. That nobody listens is told to the waiting one itself.
            self.answered = True


def _in_words(rows: list[tuple[int, str | None, str | None, datetime | None]]) -> str:
    if not rows:
        return ""
    return f"Held by {'; '.join(_holder(*row) for row in rows)}."


def _holder(pid: int, name: str | None, state: str | None, since: datetime | None) -> str:
    if not pid:
        return "a prepared transaction"
    about = [f"{name} (pid {pid})", state or ""]
    if since:
        about.append(f"since {since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    return ", ".join(filter(None, about))
