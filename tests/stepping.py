"""Run two pieces of work on PostgreSQL step by step, in an order that a test decides.

    first ──▶ stop ──▶ statement ──▶ stop ──▶ COPY ──▶ stop ──▶ COMMIT ──▶ end
    second ─▶ stop ──▶ …

Each runs in a thread with a session of its own, which stops before each statement, COPY and COMMIT
until the test lets it take the step. Where PostgreSQL says that one waits for a lock of the other
(``pg_blocking_pids``), the other takes the step instead.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from itertools import chain
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from songswap.warehouse.session import Session

Work = Callable[[psycopg.Connection], object]

_LOCKS = r"(?!.*( FOR (NO KEY )?UPDATE| FOR (KEY )?SHARE|_lock\())"
_SETTING = re.compile(rf"SELECT (pg_backend_pid|set_config)\({_LOCKS}")
"""A statement that sets settings and touches no table: no step."""
_READING = re.compile(rf"SELECT {_LOCKS}")
"""A statement that changes and locks nothing: after such ones alone, COMMIT is no step."""

_COMMIT = "COMMIT"
_WORDS = 80
"""Characters of a statement that name its step."""

_LOOK_S = 0.005
"""How often PostgreSQL is asked whether a session waits for a lock."""

_STUCK_S = 30.0
"""A step that takes longer waits for something that is not in the test."""


class Stepped(NamedTuple):
    """What a run did: its steps in words, and the SQLSTATEs of errors, also of retried ones."""

    steps: list[str]
    errors: list[str]


class _State(Enum):
    RUNNING = auto()
    STOPPED = auto()
    BLOCKED = auto()
    ENDED = auto()


class SteppedSession(Session):
    """A session of the pipeline that calls ``before_step`` with each step's name, if it is set."""

    before_step: Callable[[str], None] | None = None
    on_error: Callable[[str], None] | None = None
    _has_changes = False

    def stop(self, statement: str) -> None:
        """Stop before a statement, unless it is no step."""
        if _SETTING.match(statement) or (statement == _COMMIT and not self._has_changes):
            return
        self._has_changes = statement != _COMMIT and (
            self._has_changes or not _READING.match(statement)
        )
        if self.before_step:
            self.before_step(statement[:_WORDS])

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Begin a transaction, and stop before it is committed."""
        is_outermost = self.info.transaction_status == TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as transaction:
            yield transaction
            if is_outermost:
                self.stop(_COMMIT)

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """Wait for the server, and note its error."""
        try:
            return super().wait(*arguments, **options)
        except psycopg.Error as error:
            if self.on_error:
                self.on_error(error.sqlstate or type(error).__name__)
            raise


class Cursor(psycopg.Cursor[TupleRow]):
    """A cursor of a `SteppedSession`, which stops before each statement and COPY."""

    def _stop(self, query: Any) -> None:
        if isinstance(self.connection, SteppedSession):
            self.connection.stop(_in_a_line(query))

    def execute(self, query: Any, *arguments: Any, **options: Any) -> "Cursor":
        self._stop(query)
        return super().execute(query, *arguments, **options)

    def executemany(self, query: Any, *arguments: Any, **options: Any) -> None:
        self._stop(query)
        super().executemany(query, *arguments, **options)

    @contextmanager
    def copy(self, statement: Any, *arguments: Any, **options: Any) -> Iterator[psycopg.Copy]:
        self._stop(statement)
        with super().copy(statement, *arguments, **options) as copy:
            yield copy


def open_session(dsn: str) -> SteppedSession:
    """Open a session, in autocommit, as the pipeline does."""
    session = SteppedSession.connect(dsn, autocommit=True)
    session.cursor_factory = Cursor
    return session


class _Side:
    """One of the two: its session, and where it stands; the condition guards ``state``."""

    def __init__(self, name: str, dsn: str, changed: threading.Condition) -> None:
        self.name = name
        self.state = _State.ENDED
        self.step = ""
        self.problem: BaseException | None = None
        self._changed = changed
        self._is_free = False
        self._thread: threading.Thread | None = None
        self.session = open_session(dsn)
        self.session.before_step = self._stop
        self.pid = self.session.info.backend_pid

    def start(self, work: Work) -> None:
        """Run up to the first step."""
        self.state, self.problem, self._is_free = _State.RUNNING, None, False
        self._thread = threading.Thread(target=self._run, args=(work,), name=self.name)
        self._thread.start()

    def go_on(self) -> None:
        """Take one step."""
        self._set(_State.RUNNING)

    def free(self) -> None:
        """Run to the end without stops."""
        self._is_free = True
        self.go_on()
        if self._thread:
            self._thread.join()

    def _run(self, work: Work) -> None:
        try:
            work(self.session)
        except BaseException as error:  # noqa: BLE001 - raised by `Stepper.run`
            self.problem = error
        self._set(_State.ENDED)

    def _stop(self, step: str) -> None:
        with self._changed:
            if self._is_free:
                return
            self.step, self.state = step, _State.STOPPED
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.state is _State.RUNNING)

    def _set(self, state: _State) -> None:
        with self._changed:
            self.state = state
            self._changed.notify_all()


class Stepper:
    """Runs pairs of work in a warehouse, one run after the other."""

    def __init__(self, dsn: str) -> None:
        self._changed = threading.Condition()
        self._sides = [_Side(name, dsn, self._changed) for name in ("first", "second")]
        self._observer = psycopg.connect(dsn, autocommit=True)
        self._done = Stepped([], [])

    def close(self) -> None:
        """Close the sessions."""
        for side in self._sides:
            side.session.close()
        self._observer.close()

    def run(self, works: Sequence[Work], turns: Iterable[int]) -> Stepped:
        """Run two pieces of work: ``turns`` says whose step is next, 0 or 1.

        After the turns the first runs to its end, then the second. A turn of one that has ended is
        skipped.

        Raises:
            Exception: what the work raised, with the steps as a note.
        """
        self._done = Stepped([], [])
        try:
            for side, work in zip(self._sides, works, strict=True):
                side.session.on_error = self._done.errors.append
                side.start(work)
                self._settle(side)
            for turn in turns:
                self._step(turn)
            for number, side in enumerate(self._sides):
                while side.state is not _State.ENDED:
                    self._step(number)
        finally:
            for side in self._sides:
                side.free()
        for side in self._sides:
            if side.problem:
                side.problem.add_note("\n".join(self._done.steps))
                raise side.problem
        return self._done

    def _step(self, turn: int) -> None:
        """Take a step of one side, or of the other where that side waits for it."""
        side, other = self._sides[turn], self._sides[1 - turn]
        if side.state is _State.BLOCKED and other.state is _State.BLOCKED:
            # Until PostgreSQL ends one of the two.
            self._await(lambda: _State.BLOCKED not in (side.state, other.state))
            return
        taker = other if side.state is _State.BLOCKED else side
        if taker.state is _State.ENDED:
            return
        self._done.steps.append(f"{taker.name}: {taker.step}")
        taker.go_on()
        self._settle(taker)
        for waiting in self._sides:
            if waiting is not taker and waiting.state is _State.BLOCKED:
                self._settle(waiting)

    def _settle(self, side: _Side) -> None:
        """Wait until a side has taken its step, or waits for the other."""
        (other,) = (each for each in self._sides if each is not side)
        with self._changed:
            waited = side.state is _State.BLOCKED
            if waited:
                side.state = _State.RUNNING

        def look() -> None:
            if self._waits(side, other):
                with self._changed:
                    if side.state is _State.RUNNING:
                        side.state = _State.BLOCKED

        if waited:
            look()
        self._await(lambda: side.state is not _State.RUNNING, look)
        if side.state is _State.BLOCKED and not waited:
            self._done.steps.append(f"{side.name}: waits for the {other.name}")

    def _waits(self, side: _Side, other: _Side) -> bool:
        """Return whether a side waits for a lock of the other."""
        blocking = "SELECT %s = ANY (pg_blocking_pids(%s))"
        return self._observer.execute(blocking, [other.pid, side.pid]).fetchone() == (True,)

    def _await(self, ready: Callable[[], bool], look: Callable[[], None] = lambda: None) -> None:
        """Wait until something is so; ``look`` now and then."""
        until = monotonic() + _STUCK_S
        while True:
            with self._changed:
                if self._changed.wait_for(ready, _LOOK_S):
                    return
            look()
            if monotonic() > until:
                raise TimeoutError("\n".join(["No step ended:", *self._done.steps]))


def _in_a_line(query: Any) -> str:
    """Return a statement without its comments and line breaks."""
    if isinstance(query, sql.Composable):
        query = query.as_string()
    text = query.decode() if isinstance(query, bytes) else str(query)
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return " ".join(chain.from_iterable(line.split() for line in lines))
