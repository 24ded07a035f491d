"""Sessions of the warehouse: each transaction sets the settings that it relies on.

    BEGIN ──▶ settings, SET LOCAL ──▶ statements ──▶ COMMIT

A pooler may hand each transaction to another server connection, with settings of others, and may
refuse or ignore start-up options. So no setting is relied on for longer than a transaction, no
statement is prepared, and every statement runs in a transaction: its own where the caller has begun
none. Only a server's limits for idle sessions are lifted for the whole session.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Self

import psycopg
from psycopg.abc import Params, QueryNoTemplate
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from songswap.warehouse import schema
from songswap.warehouse.arrays import PlainListDumper
from songswap.warehouse.conninfo import CONNECT_S, server_settings, with_defaults
from songswap.warehouse.retry import retried, retried_async
from songswap.warehouse.server import require_supported
from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import Limits, ms
from songswap.warehouse.timeouts import limits as usual_limits
from songswap.warehouse.watch import Result, Steps, Watch

_SQL = statements("session.sql")
_BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
_START = b";\n".join((_BEGIN, _SQL["open"], _SQL["begin"], schema.CANDIDATES, b"COMMIT"))
"""The first statements of a session, sent at once: each alone would wait for the network."""

_CANDIDATES = 3
"""Results before that of the schema's candidates."""

_INTERVAL_S = 0.1
_VANISHED_S = 5.0
"""How often the server checks whether the client of a running statement is still connected."""

_PINNED = {
    # "History" holds UTC without a zone: a session in another would shift times by hours.
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "client_encoding": "UTF8",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    # A policy that hides rows is an error: without its users, a run would be green and empty.
    "row_security": "off",
}
"""Settings on which the meaning of statements and values depends."""


class Session(psycopg.Connection[TupleRow]):
    """A connection whose transactions have the pipeline's settings, and whose waits end.

    Statements go through `execute`, or through a cursor within `transaction`.
    """

    platform: str
    """The schema of the platform's tables, which stays the session's own."""

    _watch: Watch | None = None
    _settings: dict[str, Any]

    @classmethod
    def connect(  # type: ignore[override]  # with the arguments that are needed here
        cls, conninfo: str = "", *, autocommit: bool = False, limits: Limits | None = None
    ) -> Self:
        """Open a session.

        Raises:
            SettingsError: ``SONGSWAP_WAIT_S`` is not a valid number.
            WarehouseRefused: the server or the database cannot be used.
            psycopg.Error: the server refused the session, or did not respond.
        """
        within = limits or usual_limits()
        dsn = with_defaults(conninfo, within)
        connection = super().connect(dsn, autocommit=True, prepare_threshold=None)
        try:
            require_supported(connection)
            connection.adapters.register_dumper(list, PlainListDumper)
            connection._watch = Watch(dsn, connection, within)
            cursor = psycopg.ClientCursor(connection)
            cursor.execute(_START, _settings(within, "") | schema.PARAMS)
            for _earlier in range(_CANDIDATES):
                cursor.nextset()
            connection.platform = schema.chosen(cursor.fetchone())
            connection._settings = _settings(within, connection.platform)
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
        return connection

    def execute(  # type: ignore[override]  # templates of strings are not needed here
        self,
        query: QueryNoTemplate,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool = False,
    ) -> psycopg.Cursor[TupleRow]:
        """Execute a statement, in a transaction of its own unless one has begun."""
        if self.info.transaction_status != TransactionStatus.IDLE:
            return super().execute(query, params, prepare=prepare, binary=binary)
        if self.autocommit:
            return self._execute_alone(query, params, prepare=prepare, binary=binary)
        self._pin()
        return super().execute(query, params, prepare=prepare, binary=binary)

    @retried
    def _execute_alone(
        self, query: QueryNoTemplate, params: Params | None, /, **options: Any
    ) -> psycopg.Cursor[TupleRow]:
        with self.transaction():
            return super().execute(query, params, **options)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Begin a transaction with the pipeline's settings, or a savepoint in one."""
        begins = self.info.transaction_status == TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as transaction:
            if begins:
                self._pin()
            yield transaction

    def _pin(self) -> None:
        pinned = super().execute(_SQL["begin"], self._settings).fetchone()
        if self._watch:
            self._watch.pid = pinned[0] if pinned else 0

    def wait(
        self, gen: Steps[Result], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> Result:
        """Wait for psycopg's work on the connection, within the session's limits."""
        watched = self._watch.over(gen) if self._watch else gen
        try:
            return super().wait(watched, interval, timeout)
        except Exception:
            raise
        except BaseException:
            # Such as Airflow's timeout: the server has to stop, for nobody waits for it.
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                with suppress(psycopg.Error):
                    self.cancel_safe(timeout=CONNECT_S)
                self.close()
            raise


class AsyncSession(psycopg.AsyncConnection[TupleRow]):
    """A `Session` for coroutines."""

    _watch: Watch | None = None
    _settings: dict[str, Any]

    @classmethod
    async def connect(cls, conninfo: str = "", *, autocommit: bool = False, **_: Any) -> Self:
        """Open a session; see `Session.connect`."""
        within = usual_limits()
        dsn = with_defaults(conninfo, within)
        connection = await super().connect(dsn, autocommit=True, prepare_threshold=None)
        try:
            require_supported(connection)
            connection.adapters.register_dumper(list, PlainListDumper)
            connection._watch = Watch(dsn, connection, within)
            cursor = psycopg.AsyncClientCursor(connection)
            await cursor.execute(_START, _settings(within, "") | schema.PARAMS)
            for _earlier in range(_CANDIDATES):
                cursor.nextset()
            platform = schema.chosen(await cursor.fetchone())
            connection._settings = _settings(within, platform)
            await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
            await connection.set_autocommit(autocommit)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def execute(  # type: ignore[override]  # as above
        self,
        query: QueryNoTemplate,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool = False,
    ) -> psycopg.AsyncCursor[TupleRow]:
        """Execute a statement, in a transaction of its own unless one has begun."""
        if self.info.transaction_status != TransactionStatus.IDLE:
            return await super().execute(query, params, prepare=prepare, binary=binary)
        if self.autocommit:
            return await self._execute_alone(query, params, prepare=prepare, binary=binary)
        await self._pin()
        return await super().execute(query, params, prepare=prepare, binary=binary)

    @retried_async
    async def _execute_alone(
        self, query: QueryNoTemplate, params: Params | None, /, **options: Any
    ) -> psycopg.AsyncCursor[TupleRow]:
        async with self.transaction():
            return await super().execute(query, params, **options)

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """Begin a transaction with the pipeline's settings, or a savepoint in one."""
        begins = self.info.transaction_status == TransactionStatus.IDLE
        async with super().transaction(savepoint_name, force_rollback) as transaction:
            if begins:
                await self._pin()
            yield transaction

    async def _pin(self) -> None:
        pinned = await (await super().execute(_SQL["begin"], self._settings)).fetchone()
        if self._watch:
            self._watch.pid = pinned[0] if pinned else 0

    async def wait(
        self, gen: Steps[Result], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> Result:
        """Wait for psycopg's work on the connection, within the session's limits."""
        watched = self._watch.over(gen) if self._watch else gen
        return await super().wait(watched, interval, timeout)


def _settings(within: Limits, platform: str) -> dict[str, Any]:
    """Return the parameters of the statement that begins a transaction.

    Args:
        platform: the schema of the platform's tables; empty while it is unknown.
    """
    settings = _PINNED | {
        # A role named like the pipeline's schema would use that schema for the platform's tables.
        "search_path": schema.quoted(platform),
        "lock_timeout": ms(within.lock_s),
        "statement_timeout": ms(within.statement_s),
        "idle_in_transaction_session_timeout": ms(within.idle_s),
        # Statements are limited one by one.
        "transaction_timeout": "0",
        # The statement of a killed process ends.
        "client_connection_check_interval": ms(min(_VANISHED_S, within.lock_s)),
        **server_settings(within),
    }
    return {"names": list(settings), "values": list(settings.values())}
