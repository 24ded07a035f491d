"""Sessions whose waits end: PostgreSQL's own limits, and ours where it does not answer at all.

    statement ──▶ waits ──▶ looks, over another connection: is the server alive, who is in the way

A server that is frozen still acknowledges what it is sent, so that TCP notices nothing, and says
nothing itself. Who held a lock can only be asked while one waits for it.
"""

import logging
import threading
from collections.abc import Generator
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Self, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from songswap.warehouse.limits import Limits
from songswap.warehouse.limits import limits as usual_limits
from songswap.warehouse.sql import statements

log = logging.getLogger(__name__)

_SQL = statements("watch.sql")

_CONNECT_S = 10
_INTERVAL_S = 0.1
_VANISHED_S = 5.0
"""How often the server looks whether anybody still waits for its statement."""

Result = TypeVar("Result")
Steps = Generator[Any, Any, Result]
"""What psycopg drives on a connection: yields what to wait for, and is sent whether it came."""

_SETTINGS = (
    # "History" holds UTC without a zone: a session in another would shift times by hours. And a
    # role named like the pipeline's schema would find and make the platform's tables in there.
    "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) s (name, value)"
    # Old servers do not know all of them.
    " WHERE current_setting(name, true) IS NOT NULL"
)


def session(dsn: str) -> str:
    """``dsn`` with what every connection of the pipeline is opened with; what it says itself holds.

    A host that has vanished is noticed within a minute.
    """
    usual = {
        "application_name": "songswap",
        "connect_timeout": str(_CONNECT_S),
        "keepalives": "1",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "60000",
    }
    return make_conninfo(dsn, **{**usual, **conninfo_to_dict(dsn)})


class Session(psycopg.Connection[TupleRow]):
    """A connection with the pipeline's settings, on which nothing waits for ever."""

    _watch: "_Watch | None" = None

    @classmethod
    def connect(  # type: ignore[override]  # with the arguments that are needed here
        cls, conninfo: str = "", *, autocommit: bool = False, limits: Limits | None = None
    ) -> Self:
        """Open a session.

        Raises:
            SettingsError: the limits that are set are none.
            psycopg.Error: it was refused, or not answered.
        """
        dsn, within = session(conninfo), limits or usual_limits()
        connection = super().connect(dsn, autocommit=True)
        try:
            connection._watch = _Watch(dsn, connection, within)
            connection.execute(_SETTINGS, _settings(within))
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
        return connection

    def wait(
        self, gen: Steps[Result], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> Result:
        """Wait for what psycopg does on the connection, within the session's limits."""
        watched = self._watch.over(gen) if self._watch else gen
        try:
            return super().wait(watched, interval, timeout)
        except Exception:
            raise
        except BaseException:
            # Such as Airflow's time limit: the server is not to go on, or to wait, for nobody.
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                with suppress(psycopg.Error):
                    self.cancel_safe(timeout=_CONNECT_S)
                self.close()
            raise


class AsyncSession(psycopg.AsyncConnection[TupleRow]):
    """The same for coroutines."""

    _watch: "_Watch | None" = None

    @classmethod
    async def connect(cls, conninfo: str = "", *, autocommit: bool = False, **_: Any) -> Self:
        """Open a session; see `Session.connect`."""
        dsn, within = session(conninfo), usual_limits()
        connection = await super().connect(dsn, autocommit=True)
        try:
            connection._watch = _Watch(dsn, connection, within)
            await connection.execute(_SETTINGS, _settings(within))
            await connection.set_autocommit(autocommit)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def wait(
        self, gen: Steps[Result], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> Result:
        """Wait for what psycopg does on the connection, within the session's limits."""
        watched = self._watch.over(gen) if self._watch else gen
        return await super().wait(watched, interval, timeout)


def _settings(within: Limits) -> tuple[list[str], list[str]]:
    settings = {
        "TimeZone": "UTC",
        "search_path": "public",
        "lock_timeout": _ms(within.lock_s),
        "statement_timeout": _ms(within.statement_s),
        "idle_in_transaction_session_timeout": _ms(within.idle_s),
        # A statement of a process that was killed ends, and so does one that nobody reads.
        "client_connection_check_interval": _ms(min(_VANISHED_S, within.lock_s)),
        "tcp_user_timeout": _ms(within.idle_s),
    }
    return list(settings), list(settings.values())


def _ms(seconds: float) -> str:
    return str(round(1000 * seconds))


class _Watch:
    """Watches the waits of one connection.

    Args:
        dsn: where to look from another connection.
        connection: is closed when its server is frozen.
        within: how long it may wait.
    """

    def __init__(self, dsn: str, connection: "psycopg.BaseConnection[Any]", within: Limits) -> None:
        about = connection.info
        # Of several hosts the one that the connection leads to.
        where = {"host": about.host, "port": str(about.port), "connect_timeout": str(_CONNECT_S)}
        if "hostaddr" in conninfo_to_dict(dsn):
            where["hostaddr"] = about.hostaddr
        self._dsn = make_conninfo(dsn, **where)
        self._connection = connection
        self._within = within

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
                look, looked = _Look(self._dsn, self._connection.info.backend_pid, within), now
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
