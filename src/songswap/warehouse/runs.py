"""Runs and their steps: what was planned, what ended, and with which counts and outcomes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Self

import psycopg
from psycopg.types.json import Jsonb

from songswap.errors import RunFailed, SongSwapError
from songswap.warehouse import leases
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import scalar, statements

MOST_BATCHES = 1000
"""Airflow maps over at most 1,024 items: more users make larger batches, not more of them."""

OUTCOMES = ("answered", "unchanged", "failed", "refused", "forbidden", "deleted")
"""What a run can record of a user: a response with new plays, one without, no usable response, a
revoked grant, 403, no such user any more."""

_SQL = statements("runs.sql")


class Unfinished(NamedTuple):
    """A step that failed, or never ended (state ``planned``).

    ``kind`` is the class of the error that ended it, where that is known.
    """

    step: str
    number: int
    state: str
    problem: str | None
    kind: str | None


class StepKey(NamedTuple):
    """A step of a run; ``number`` is that of a batch, 0 for a step of the whole run."""

    step: str
    number: int = 0


class UsersFound(NamedTuple):
    """How many users with tokens a run found, and the last run before it that found any."""

    now: int
    before: int


class Users(NamedTuple):
    """The users of a batch: all with ids from ``first`` to ``last``, or ``only`` some of them."""

    first: int
    last: int
    only: list[int] | None

    @classmethod
    def of(cls, users: Sequence[int]) -> Self:
        """Return a batch of just these users, at least one."""
        return cls(min(users), max(users), list(users))


class Choice(NamedTuple):
    """How to choose ``at_most`` users for an hour that does not serve all.

    First those who may have ``plays`` plays since their last poll after ``interval``, then those
    unpolled longest. ``counts`` are recorded with the plan.
    """

    at_most: int
    plays: int
    interval: timedelta
    counts: Mapping[str, int]


def start(
    connection: psycopg.Connection, run_id: str, now: datetime, *, held: bool = False
) -> None:
    """Record that a run is in progress; it starts now if it is new or had ended.

    Runs whose lease has expired are recorded as died.

    Args:
        held: one process does the whole run, and renews its lease.
    """
    leases.end_dead_runs(connection, now, run_id)
    params = {"run_id": run_id, "now": now, "held": held, "lease": leases.duration()}
    connection.execute(_SQL["start_run"], params)


@retried
def plan(
    connection: psycopg.Connection,
    run_id: str,
    batch_size: int,
    more_steps: tuple[str, ...],
    now: datetime,
    choice: Choice | None = None,
) -> list[int]:
    """Cut the users into batches and return the batches' numbers.

    A run that was planned before keeps its batches.

    Args:
        choice: whom to poll, where an hour does not serve all: the most urgent come first.
    """
    with connection.transaction():
        start(connection, run_id, now)
        users: int = scalar(connection.execute(_SQL["count_users"]))
        params = {"run_id": run_id, "now": now, "size": _size(batch_size, users)}
        counts = {"users": users}
        if choice is None:
            connection.execute(_SQL["plan_batches"], params)
        else:
            chosen = {**choice._asdict(), "size": _size(batch_size, choice.at_most)}
            connection.execute(_SQL["plan_chosen"], params | chosen)
            counts |= choice.counts
        for step in more_steps:
            connection.execute(_SQL["plan_step"], {"run_id": run_id, "step": step})
        connection.execute(_SQL["record_plan"], {**params, "counts": Jsonb(counts)})
        return [number for (number,) in connection.execute(_SQL["batches"], {"run_id": run_id})]


def _size(batch_size: int, users: int) -> int:
    return max(batch_size, -(-users // MOST_BATCHES))


@retried
def plan_users(
    connection: psycopg.Connection, run_id: str, users: Sequence[int], now: datetime
) -> None:
    """Plan a run with one batch, of these users."""
    batch = Users.of(users)
    params = {"run_id": run_id, "first": batch.first, "last": batch.last, "users": batch.only}
    with connection.transaction():
        start(connection, run_id, now)
        connection.execute(_SQL["plan_users"], params)


def users_found(connection: psycopg.Connection, run_id: str) -> UsersFound | None:
    """Return how many users a run found when it was planned; None for a run of some users only."""
    row = connection.execute(_SQL["users_found"], {"run_id": run_id}).fetchone()
    return UsersFound(*row) if row else None


def is_planned(connection: psycopg.Connection, run_id: str) -> bool:
    """Return whether a run has its batches, which may be none."""
    return bool(scalar(connection.execute(_SQL["is_planned"], {"run_id": run_id})))


def require_plan(connection: psycopg.Connection, run_id: str) -> None:
    """Raise `RunFailed` where a run was never planned."""
    if not is_planned(connection, run_id):
        raise RunFailed(
            f"Run {run_id} was never planned: nothing is done for it. The next run does all that it"
            " would have done; clearing its task 'plan' does it at once."
        )


def users_of(connection: psycopg.Connection, run_id: str, batch: int) -> Users:
    """Return the users of a batch.

    Raises:
        RunFailed: the run has no such batch.
    """
    row = connection.execute(_SQL["batch"], {"run_id": run_id, "number": batch}).fetchone()
    if row is None:
        raise RunFailed(
            f"Run {run_id} has no batch {batch}: clear its task 'plan', and the run continues."
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
    """Record that a step ended: done, or failed with ``problem`` where no try has done it before.

    Args:
        problem: the error itself where there is one: its class says what to do about it.
        outcomes: one of `OUTCOMES` by user id. A user's outcome replaces that of an earlier try,
            unless that one has done the whole step.
    """
    ended = {
        "state": "failed" if problem else "done",
        "problem": str(problem) if problem else None,
        "kind": type(problem).__name__ if isinstance(problem, SongSwapError) else None,
        "now": now,
        "outcomes": Jsonb({str(user): outcome for user, outcome in (outcomes or {}).items()}),
    }
    _record_step(connection, run_id, StepKey(step, number), counts, ended, ends=True)


def add_counts(
    connection: psycopg.Connection, run_id: str, step: StepKey, counts: Mapping[str, int]
) -> None:
    """Add to the counts of a step, in the transaction of what they count.

    A step that has ended stays so: a task that was cut off may still load a group.
    """
    new = {"state": "planned", "problem": None, "kind": None, "now": None, "outcomes": Jsonb({})}
    _record_step(connection, run_id, step, counts, new, ends=False)


def _record_step(
    connection: psycopg.Connection,
    run_id: str,
    step: StepKey,
    counts: Mapping[str, int],
    row: Mapping[str, object],
    *,
    ends: bool,
) -> None:
    found = Jsonb({name: count for name, count in counts.items() if count})
    params = {"run_id": run_id, **step._asdict(), "counts": found, "ends": ends, **row}
    connection.execute(_SQL["record_step"], params)


def outcomes(connection: psycopg.Connection, run_id: str) -> Counter[str]:
    """Count a run's users by outcome, each once, by the last."""
    rows = connection.execute(_SQL["outcomes"], {"run_id": run_id})
    return Counter({outcome: int(users) for outcome, users in rows})


def totals(connection: psycopg.Connection, run_id: str) -> dict[str, int]:
    """Add up the counts of a run's steps."""
    rows = connection.execute(_SQL["totals"], {"run_id": run_id})
    return {name: int(total) for name, total in rows}


def unfinished(connection: psycopg.Connection, run_id: str) -> list[Unfinished]:
    """Return the steps of a run that failed or never ended."""
    rows = connection.execute(_SQL["unfinished"], {"run_id": run_id})
    return [Unfinished(*row) for row in rows]


def end_run(
    connection: psycopg.Connection,
    run_id: str,
    state: str,
    counts: Mapping[str, int],
    now: datetime,
    problem: str | None,
) -> float:
    """Record that a run ended, and return how many seconds it took.

    Args:
        state: ``success``, ``failed`` or ``paused``.
    """
    params = {
        "run_id": run_id,
        "state": state,
        "counts": Jsonb(dict(counts)),
        "problem": problem,
        "now": now,
    }
    return float(scalar(connection.execute(_SQL["end_run"], params)))


def fail_running(connection: psycopg.Connection, run_id: str, problem: str, now: datetime) -> bool:
    """Record that a run failed, unless it has ended; return whether it was running."""
    params = {"run_id": run_id, "problem": problem, "now": now}
    return connection.execute(_SQL["fail_running"], params).rowcount > 0


def started_at(connection: psycopg.Connection, run_id: str) -> datetime | None:
    """Return when a run that goes on began; None if it does not go on."""
    row = connection.execute(_SQL["started_at"], {"run_id": run_id}).fetchone()
    return row[0] if row else None


def last_ended(connection: psycopg.Connection) -> datetime | None:
    """Return when the hourly run that ended last began; None before the first."""
    started_at: datetime | None = scalar(connection.execute(_SQL["last_ended"]))
    return started_at
