"""What stands still, as the DAGs watch each other: each is told once, and when it is over.

    facts ──▶ findings (pure) ──▶ due: what was told of them before ──▶ notices

A finding is told once it has stood for its patience, so that a restart alarms nobody; again after a
day, if it still stands; and when it is over. Table ``songswap.notices`` remembers it.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.alerts.notices import GOES_ON, STANDSTILL, Notice
from songswap.pipelines import freshness
from songswap.warehouse import notices
from songswap.warehouse.freshness import Facts
from songswap.warehouse.notices import Sent

_TWO_LOOKS = timedelta(minutes=8)
"""Two looks of a DAG that runs every 10 minutes are further apart, and a restart is shorter."""

_TWO_HOURLY_LOOKS = timedelta(minutes=50)

_DAILY = timedelta(hours=23, minutes=30)

_BEGINS_EVERY = timedelta(minutes=10)

_NO_RUN_FOR = timedelta(minutes=45)
"""A run of the polls in between may take 25 minutes before the next one may begin."""


class Finding(NamedTuple):
    """Something that stands still.

    Args:
        subject: a clause that names it, the same at each look.
        sentence: what it means, and what to do.
        patience: for how long it has to be found before it is told.
    """

    subject: str
    sentence: str
    patience: timedelta = timedelta()


class Waiting(NamedTuple):
    """The tasks of a pool that wait for a slot, by DAG, and whether any task of it is running."""

    pool: str
    tasks: Mapping[str, int]
    is_any_running: bool


def of_hourly_load(
    dag_id: str, is_paused: bool, facts: Facts, pools: Iterable[Waiting], now: datetime
) -> list[Finding]:
    """Find what keeps the hourly load, or another load, from going on.

    Args:
        dag_id: of the hourly load.
        is_paused: in Airflow.
        facts: of its runs.
        pools: those that have tasks.
    """
    return [*_pause(dag_id, is_paused), *_pools(pools), *_age(dag_id, facts, now)]


def of_heavy_listeners(
    dag_id: str, is_paused: bool, last_begun: datetime | None, now: datetime
) -> list[Finding]:
    """Find what keeps the polls in between from beginning; what fails in them, they tell.

    Args:
        dag_id: theirs.
        is_paused: in Airflow.
        last_begun: when their last run was due; None before the first.
    """
    if is_paused:
        return [
            Finding(
                f"{dag_id} is paused in Airflow",
                "Users who play so much that Spotify drops plays within the hour are not polled in"
                " between, and nobody watches the hourly load. Unpause it.",
                _TWO_HOURLY_LOOKS,
            )
        ]
    if last_begun is not None and last_begun > now - _NO_RUN_FOR:
        return []
    since = f" since {last_begun.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if last_begun else ""
    return [
        Finding(
            f"No run of {dag_id} begins",
            f"None has begun{since}, though one is due every"
            f" {_BEGINS_EVERY.total_seconds() / 60:.0f} minutes: look at Airflow's list of import"
            " errors, and at its dag-processor. Until then nobody watches the hourly load.",
            # After a restart, or an installation, its next run may be yet to come.
            _TWO_HOURLY_LOOKS,
        )
    ]


def due(
    connection: psycopg.Connection, watcher: str, findings: Iterable[Finding], now: datetime
) -> list[Notice]:
    """Return the notices that are due, and record them as sent, in the caller's transaction.

    Args:
        watcher: who looks; it tells of nothing that others found.
    """
    prefix = f"standstill seen by {watcher}: "
    recorded = notices.find_all(connection, prefix)
    due: list[Notice] = []
    for finding in findings:
        sent = recorded.pop(finding.subject, None)
        if _is_due(finding, sent, now):
            due.append(Notice(STANDSTILL, f"{finding.subject}. {finding.sentence}"))
            since = _since(sent) if sent else now
            notices.record(connection, prefix + finding.subject, now, since.isoformat())
        elif sent is None:
            notices.record(connection, prefix + finding.subject, now)
    for subject, sent in recorded.items():
        notices.forget(connection, prefix + subject)
        if sent.detail is not None:
            since = _since(sent).astimezone(UTC)
            due.append(
                Notice(GOES_ON, f"This is over: {subject} (noticed {since:%Y-%m-%d %H:%M} UTC).")
            )
    return due


def _is_due(finding: Finding, sent: Sent | None, now: datetime) -> bool:
    if sent is None:
        return not finding.patience
    # Without a detail it was found, and not told yet.
    wait = finding.patience if sent.detail is None else _DAILY
    return sent.at <= now - wait


def _since(sent: Sent) -> datetime:
    """When it was found first."""
    return datetime.fromisoformat(sent.detail) if sent.detail else sent.at


def _pause(dag_id: str, is_paused: bool) -> Iterator[Finding]:
    if is_paused:
        yield Finding(
            f"{dag_id} is paused in Airflow",
            "Nobody is polled, and Spotify drops what a user plays beyond the last 50 plays."
            " Unpause it: the next run polls everybody.",
            _TWO_LOOKS,
        )


def _pools(pools: Iterable[Waiting]) -> Iterator[Finding]:
    for pool, tasks, is_any_running in pools:
        if not tasks or is_any_running:
            continue
        each = ", ".join(f"{number:,} of {dag_id}" for dag_id, number in sorted(tasks.items()))
        yield Finding(
            f"No task of the pool {pool} begins",
            f"Tasks wait ({each}), and none runs. Airflow never starts tasks of a pool that does"
            f" not exist or has no slots: look at Admin, Pools, or run `airflow pools set {pool} 2"
            " SongSwap`. If the pool has free slots, other DAGs use all of Airflow's slots. The"
            " tasks go on by themselves then.",
            _TWO_LOOKS,
        )


def _age(dag_id: str, facts: Facts, now: datetime) -> Iterator[Finding]:
    verdict = freshness.decide(facts, freshness.LIMIT, now)
    if verdict.is_fresh:
        return
    first_line = (verdict.problem or "").partition("\n")[0]
    problem = f" The last one failed of this: {first_line}" if first_line else ""
    yield Finding(
        f"{dag_id} does not end well",
        f"{verdict.sentence}{problem} Until it does, Spotify may drop plays that nobody has"
        " polled; docs/operations.md says what to do.",
        # Before the first one: Airflow was just installed.
        timedelta() if facts.good else freshness.LIMIT,
    )
