"""Runs and their steps in the pipeline's own schema: what was planned, what ended, with what."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple, Self

import psycopg
from psycopg.types.json import Jsonb

from songswap.errors import RunFailed, SongSwapError
from songswap.warehouse.plays import PACE_DECAY
from songswap.warehouse.retry import retried
from songswap.warehouse.session import Session
from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import limits

log = logging.getLogger(__name__)

MOST_BATCHES = 1000
"""Airflow maps over at most 1,024 things: more users make larger batches, not more of them."""

LONGEST_RUN = timedelta(minutes=55)
"""An hourly run in all: then it gives way to the next hour's."""

_RENEWALS = 4
"""How often a lease is renewed before it would end."""

_ENDS_WITHIN_S = 5.0
"""How long a renewal under way is waited for; it may be waiting for a server that is gone."""

_DIED = (
    "It ended without a word: its process was killed, or its machine went. What Spotify answered"
    " is in the spool; the next run brings it in."
)

OUTCOMES = ("answered", "unchanged", "failed", "refused", "forbidden", "deleted")
"""What can come of a user in a run: an answer with news, or without; no usable answer; a refused
grant; 403; no such user any more."""


class Unfinished(NamedTuple):
    """A step that failed, or never ended (state ``planned``).

    ``kind`` is the name of the error that ended it, as far as it is known.
    """

    step: str
    number: int
    state: str
    problem: str | None
    kind: str | None


class UsersFound(NamedTuple):
    """How many users with tokens a run found, and the last run before it that found any."""

    now: int
    before: int


class Users(NamedTuple):
    """The users of a batch: those with ids of ``first`` to ``last``, or ``only`` some of them."""

    first: int
    last: int
    only: list[int] | None

    @classmethod
    def these(cls, users: Sequence[int]) -> Self:
        """Just these users, at least one."""
        return cls(min(users), max(users), list(users))


@contextmanager
def kept_alive(dsn: str, run_id: str) -> Iterator[None]:
    """Renew the lease of a run for as long as this lasts, so that nobody takes it for dead."""
    ended, pause_s = threading.Event(), limits().lease_s / _RENEWALS

    def renew_on() -> None:
        while not ended.wait(pause_s):
            try:
                with Session.connect(dsn, autocommit=True) as connection:
                    renew(connection, run_id)
            except psycopg.Error as error:
                # What the run itself does there says it in full.
                log.info("The lease of run %s was not renewed: %s.", run_id, type(error).__name__)

    renewal = threading.Thread(target=renew_on, daemon=True)
    renewal.start()
    try:
        yield
    finally:
        ended.set()
        renewal.join(_ENDS_WITHIN_S)


def renew(connection: psycopg.Connection, run_id: str) -> None:
    """Renew the lease of a run that has not ended."""
    lease = timedelta(seconds=limits().lease_s)
    connection.execute(statements("runs.sql")["renew"], {"run_id": run_id, "lease": lease})


def start(
    connection: psycopg.Connection, run_id: str, now: datetime, *, held: bool = False
) -> None:
    """Note that a run goes on; it starts now if it is new or had ended.

    Others that nobody works on any more are noted as died.

    Args:
        held: one process does the whole run, within `kept_alive`.
    """
    close_dead(connection, now, run_id)
    lease = timedelta(seconds=limits().lease_s)
    parameters = {"run_id": run_id, "now": now, "held": held, "lease": lease}
    connection.execute(statements("runs.sql")["start_run"], parameters)


def close_dead(connection: psycopg.Connection, now: datetime, run_id: str | None = None) -> None:
    """Note as died what is noted as running though nobody works on it.

    Args:
        run_id: the run whose step asks, which may have waited long for its turn.
    """
    about = {"now": now, "run_id": run_id, "problem": _DIED}
    connection.execute(statements("runs.sql")["close_dead"], about)


@retried
def plan(
    connection: psycopg.Connection,
    run_id: str,
    batch_size: int,
    more_steps: tuple[str, ...],
    now: datetime,
) -> list[int]:
    """Cut the users into batches and return the batches' numbers.

    A run that was planned before keeps its batches.
    """
    sql = statements("runs.sql")
    with connection.transaction():
        start(connection, run_id, now)
        row = connection.execute(sql["count_users"]).fetchone()
        users = int(row[0]) if row else 0
        size = max(batch_size, -(-users // MOST_BATCHES))
        connection.execute(sql["plan_batches"], {"run_id": run_id, "size": size})
        for step in more_steps:
            connection.execute(sql["plan_step"], {"run_id": run_id, "step": step})
        connection.execute(sql["planned"], {"run_id": run_id, "now": now, "users": users})
        return [row[0] for row in connection.execute(sql["batches"], {"run_id": run_id})]


def users_found(connection: psycopg.Connection, run_id: str) -> UsersFound | None:
    """How many users a run found when it was planned; None for one that asks for some only."""
    row = connection.execute(statements("runs.sql")["users_found"], {"run_id": run_id}).fetchone()
    return UsersFound(*row) if row else None


def is_planned(connection: psycopg.Connection, run_id: str) -> bool:
    """Whether it was settled who is asked for in a run."""
    row = connection.execute(statements("runs.sql")["is_planned"], {"run_id": run_id}).fetchone()
    return bool(row and row[0])


def require_plan(connection: psycopg.Connection, run_id: str) -> None:
    """Raise `RunFailed` where a run was never planned."""
    if not is_planned(connection, run_id):
        raise RunFailed(
            f"Run {run_id} was never planned: nothing is done for it. The next run does all that it"
            " would have done; clearing its task 'plan' does it at once."
        )


@retried
def plan_users(
    connection: psycopg.Connection, run_id: str, users: Sequence[int], now: datetime
) -> None:
    """Plan a run with one batch, of these users."""
    span = Users.these(users)
    parameters = {"run_id": run_id, "first": span.first, "last": span.last, "users": span.only}
    with connection.transaction():
        start(connection, run_id, now)
        connection.execute(statements("runs.sql")["plan_users"], parameters)


def at_risk(
    connection: psycopg.Connection, now: datetime, interval: timedelta, plays: int
) -> list[int]:
    """Users who may have ``plays`` plays since their last answer when ``interval`` has passed.

    By the pace of the busiest hour that was seen of each lately, whatever their grants are worth.
    """
    parameters = {"now": now, "interval": interval, "plays": plays}
    return [row[0] for row in connection.execute(statements("runs.sql")["at_risk"], parameters)]


def users_of(connection: psycopg.Connection, run_id: str, batch: int) -> Users:
    """The users of a batch.

    Raises:
        RunFailed: the run has no such batch.
    """
    row = connection.execute(
        statements("runs.sql")["batch"], {"run_id": run_id, "number": batch}
    ).fetchone()
    if row is None:
        raise RunFailed(
            f"Run {run_id} has no batch {batch}: clear its task 'plan' and let it go on."
        )
    return Users(*row)


def end_step(
    connection: psycopg.Connection,
    run_id: str,
    step: str,
    number: int,
    counts: Mapping[str, int],
    now: datetime,
    problem: str | Exception | None = None,
    outcomes: Mapping[int, str] | None = None,
) -> None:
    """Record that a step ended: done, or failed with ``problem``.

    Args:
        problem: the error itself where there is one: its name says what is to be done.
        outcomes: of the users who were asked for, by id: one of `OUTCOMES`. A user's outcome of an
            earlier try of the step gives way to this one.
    """
    connection.execute(
        statements("runs.sql")["end_step"],
        {
            "run_id": run_id,
            "step": step,
            "number": number,
            "state": "failed" if problem else "done",
            "counts": Jsonb({name: count for name, count in counts.items() if count}),
            "problem": str(problem) if problem else None,
            "kind": type(problem).__name__ if isinstance(problem, SongSwapError) else None,
            "now": now,
            "outcomes": Jsonb({str(user): outcome for user, outcome in (outcomes or {}).items()}),
        },
    )


def outcomes(connection: psycopg.Connection, run_id: str) -> Counter[str]:
    """How many users had which outcome in a run, each user counted once by the last one."""
    rows = connection.execute(statements("runs.sql")["outcomes"], {"run_id": run_id})
    return Counter({outcome: int(users) for outcome, users in rows})


def totals(connection: psycopg.Connection, run_id: str) -> dict[str, int]:
    """The counts of a run's steps, added up."""
    rows = connection.execute(statements("runs.sql")["totals"], {"run_id": run_id})
    return {name: int(total) for name, total in rows}


def unfinished(connection: psycopg.Connection, run_id: str) -> list[Unfinished]:
    """The steps of a run that did not end well."""
    rows = connection.execute(statements("runs.sql")["unfinished"], {"run_id": run_id})
    return [Unfinished(*row) for row in rows]


def end_run(
    connection: psycopg.Connection,
    run_id: str,
    state: str,
    counts: Mapping[str, int],
    now: datetime,
    problem: str | None,
) -> float:
    """Note that a run ended, and return how many seconds it took.

    Args:
        state: ``success``, ``failed`` or ``paused``.
    """
    row = connection.execute(
        statements("runs.sql")["end_run"],
        {
            "run_id": run_id,
            "state": state,
            "counts": Jsonb(dict(counts)),
            "problem": problem,
            "now": now,
        },
    ).fetchone()
    return float(row[0]) if row else 0.0


def last_ended(connection: psycopg.Connection) -> datetime | None:
    """When the hourly run began that ended last; None where none has."""
    row = connection.execute(statements("runs.sql")["last_ended"]).fetchone()
    return row[0] if row else None


def end_early(connection: psycopg.Connection, run_id: str, problem: str, now: datetime) -> bool:
    """Note that a run failed which did not come to its end; False where it had ended."""
    about = {"run_id": run_id, "problem": problem, "now": now}
    return connection.execute(statements("runs.sql")["end_early"], about).rowcount > 0


def going_on(connection: psycopg.Connection, now: datetime) -> bool:
    """Whether an hourly run goes on.

    Not one that nobody works on any more, which is noted as died; nor one of more than 55 minutes,
    or one that is older than another that has ended.
    """
    close_dead(connection, now)
    row = connection.execute(
        statements("runs.sql")["going_on"], {"since": now - LONGEST_RUN}
    ).fetchone()
    return bool(row and row[0])


def record_polls(
    connection: psycopg.Connection, problems: Mapping[int, str | None], now: datetime
) -> None:
    """Note when users were asked for; None where the answer told nothing new."""
    connection.execute(
        statements("runs.sql")["record_polls"],
        {
            "users": list(problems),
            "problems": list(problems.values()),
            "now": now,
            "decay": PACE_DECAY,
        },
    )
