"""Take a snapshot of what an operator sees, at the end of an hourly run: docs/json.md has its keys.

    tables ──▶ `overview.read` and others ──▶ `compose` ──▶ songswap.snapshots
    "History" ──▶ songswap.plays_by_hour

It is one transaction, of which no run fails: a page that is out of date loses nothing, and is
reported.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from songswap.alerts.notices import LOOK, Notice, page_is_stale
from songswap.alerts.problem import Problem
from songswap.errors import Interrupted, WarehouseError
from songswap.pipelines.enrich import KINDS
from songswap.warehouse import coverage, missing, notices, overview, snapshots, spools
from songswap.warehouse.connection import connect
from songswap.warehouse.grant_states import STATES
from songswap.warehouse.limits import capacity, pauses
from songswap.warehouse.limits.capacity import Learned
from songswap.warehouse.limits.pauses import Pause
from songswap.warehouse.overview import Ages, Ending, Overview
from songswap.warehouse.retry import retried
from songswap.warehouse.snapshots import DAYS_OF_PLAYS, Snapshot
from songswap.warehouse.spools import HostSpool

log = logging.getLogger(__name__)

BARS = (10, 30, 60, 90, 120, 240, 720, 1_440, 10_080)
"""Minutes up to which the ages of last responses are counted together; the last bar has no end."""

LATE = timedelta(hours=48)
"""Plays of the last hours are counted again by each snapshot: Spotify reports some late."""

IN_AN_HOUR = 100_000
"""The catalogue is counted each hour up to so many tracks and artists; of twice as many every other
hour, and so on. Counting 360,000 takes about 3 seconds."""

_LONGEST = timedelta(days=1)
_SUBJECT = "page that is out of date"
_DAILY = timedelta(hours=23, minutes=30)

_STEPS = ("retry", "plan", "fetch", "load", *(f"enrich {kind}" for kind in KINDS))

Facts = dict[str, Any]


def take(dsn: str, run_id: str, clock: Callable[[], datetime]) -> list[Notice]:
    """Take a snapshot after the end of a run.

    A failure is logged. The run has ended, and its end stays as it is.

    Returns:
        A notice of the failure, which is due once a day.

    Raises:
        Interrupted: somebody stops the process.
    """
    try:
        with connect(dsn) as connection:
            _take(connection, run_id, clock())
            notices.forget(connection, _SUBJECT)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has ended as recorded
        sentence = page_is_stale(Problem.of(error))
        log.error("%s", sentence)  # noqa: TRY400 - a sentence
        return [Notice(LOOK, sentence)] if _is_due(dsn, clock()) else []
    return []


@retried
def _take(connection: psycopg.Connection, run_id: str, now: datetime) -> None:
    with connection.transaction():
        previous = snapshots.latest(connection, now)
        catalogue = (previous.facts.get("catalogue") if previous else None) or {}
        if must_count(catalogue, now):
            catalogue = _count_catalogue(connection, now)
        facts = compose(
            overview.read(connection, BARS, now),
            capacity.read(connection, None, now),
            pauses.active(connection, now),
            spools.find(connection),
            run_id,
            now,
        )
        facts = in_json(facts | {"catalogue": catalogue})
        snapshots.count_plays(connection, plays_since(previous, now), now)
        snapshots.write(connection, Snapshot(now, run_id, facts))


def _is_due(dsn: str, now: datetime) -> bool:
    """Whether the notice was not sent for a day; records it. Without the warehouse it is not."""
    try:
        with connect(dsn) as connection, connection.transaction():
            sent = notices.find(connection, _SUBJECT)
            is_due = sent is None or sent.at <= now - _DAILY
            if is_due:
                notices.record(connection, _SUBJECT, now)
    except WarehouseError:
        # The run itself has met it, or the next one does.
        return False
    return is_due


def plays_since(previous: Snapshot | None, now: datetime) -> datetime:
    """Return from when plays are counted by the hour.

    The first snapshot of a day counts 30 days: imports and late hosts bring plays of any hour.
    """
    is_first = previous is None or previous.taken_at.date() < now.date()
    return now - (DAYS_OF_PLAYS if is_first else LATE)


def must_count(catalogue: Mapping[str, Any], now: datetime) -> bool:
    """Whether the catalogue has to be counted, by what the last snapshot says of it."""
    if not catalogue:
        return True
    hours = math.ceil((catalogue["tracks"]["total"] + catalogue["artists"]["total"]) / IN_AN_HOUR)
    age = now - datetime.fromisoformat(catalogue["counted_at"])
    # Hourly runs do not end at the same minute.
    carried_for = min(timedelta(hours=hours), _LONGEST) - timedelta(minutes=30)
    return hours <= 1 or not timedelta() <= age < carried_for


def _count_catalogue(connection: psycopg.Connection, now: datetime) -> Facts:
    tracks, artists = coverage.tracks(connection), coverage.artists(connection)
    lacking = {kind: missing.find(connection, kind, now) for kind in KINDS}
    return {
        "counted_at": now,
        "tracks": {"total": tracks.total, **tracks.having},
        "artists": {"total": artists.total, **artists.having},
        "missing": {
            kind: {"missing": ids.missing, "waiting": ids.waiting, "unknown": ids.unknown}
            for kind, ids in lacking.items()
        },
    }


def compose(
    found: Overview,
    learned: Learned,
    active: Sequence[Pause],
    hosts: Sequence[HostSpool],
    run_id: str,
    now: datetime,
) -> Facts:
    """Return the facts of a snapshot, without its catalogue: pure.

    Args:
        active: pauses.
    """
    runs = [_run(run, found.steps) for run in found.runs]
    own = next((run for run in runs if run["run_id"] == run_id), None)
    return {
        "taken_at": now,
        "run": own and {name: value for name, value in own.items() if name in _OF_A_RUN},
        "users": {"total": found.users, "with_tokens": found.users_with_tokens},
        "freshness": {"newest_play": found.newest_play, **_freshness(found.ages)},
        "gaps": {
            "open": found.open_gaps,
            "closed_7d": found.closed_gaps,
            "newest": found.newest_gaps,
        },
        "requests": {
            "in_window": found.requests_in_window,
            "per_window": learned.per_window,
            "last_day": learned.in_day,
            "per_day": learned.per_day,
            "users_an_hour": learned.an_hour(),
            "pauses": [pause._asdict() for pause in active],
        },
        "hosts": [_host(host) for host in hosts],
        "runs": runs,
        "polls_between": found.polls_between,
        "grants": _grants(found.grants),
        "imports": found.imports,
        "erasing": {
            "due_users": found.due_users,
            "due": [{**user, "day": _day(user["due_at"])} for user in found.due],
            "open": found.open_erasures,
        },
    }


_OF_A_RUN = ("run_id", "dag_id", "dag_run_id", "state", "started_at", "ended_at", "problem")
_OF_A_HOST = ("host", "seen_at", "is_silent", "waiting_for_s3", "waiting_for_warehouse",
              "waiting_tokens", "waiting_since", "problem", "erasures")  # fmt: skip


def _freshness(ages: Ages) -> Facts:
    half, most, oldest = ages.percentiles or (None, None, None)
    return {
        "users": ages.users,
        "answered": {
            "never": ages.never,
            "p50_minutes": half,
            "p90_minutes": most,
            "oldest_minutes": oldest,
        },
        "histogram": [
            {"up_to_minutes": bar, "users": ages.up_to.get(bar, 0)} for bar in (*BARS, None)
        ],
    }


def _run(run: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> Facts:
    """Return a run with its steps in their order, and Airflow's ids, if it is Airflow's."""
    is_of_airflow = not run["run_id"].startswith("cli__")
    own = [step for step in steps if step["run_id"] == run["run_id"]]
    own.sort(key=lambda step: _STEPS.index(step["step"]) if step["step"] in _STEPS else len(_STEPS))
    return {
        **run,
        "dag_id": "load_listening_history" if is_of_airflow else None,
        "dag_run_id": run["run_id"] if is_of_airflow else None,
        "steps": [_step(step) for step in own],
    }


def _step(step: Mapping[str, Any]) -> Facts:
    return {
        "step": step["step"],
        "state": "failed" if step["failed"] else "planned" if step["planned"] else "done",
        **{name: step[name] for name in ("parts", "failed", "problem")},
    }


def _host(host: HostSpool) -> Facts:
    return {name: getattr(host, name) for name in _OF_A_HOST}


def _grants(grants: Sequence[Ending]) -> Facts:
    states = dict.fromkeys(STATES, 0)
    ending: dict[str, int] = {}
    for state, day, users in grants:
        states[state] += users
        if day and state in ("active", "expiring"):
            ending[day.isoformat()] = ending.get(day.isoformat(), 0) + users
    return {
        "states": states,
        "ending": [{"day": day, "users": users} for day, users in sorted(ending.items())],
    }


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def in_json(facts: Facts) -> Facts:
    """Return facts as JSON holds them, with times in ISO 8601 in UTC."""
    plain: Facts = json.loads(json.dumps(facts, default=_iso))
    return plain


def _iso(value: date) -> str:
    return (value.astimezone(UTC) if isinstance(value, datetime) else value).isoformat()
