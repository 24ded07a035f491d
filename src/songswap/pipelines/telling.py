"""What engineers have to be told at the end of a run beside its failures: once, or once a day."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta

import psycopg

from songswap.alerts.notices import (
    LOOK,
    PAUSED,
    RESUMED,
    Notice,
    unusable_grants,
    warehouse_set_back,
    warnings,
)
from songswap.pipelines.endpoints import RECCOBEATS
from songswap.warehouse import grant_states, notices, runs, tokens
from songswap.warehouse.limits import pauses as pause

_DAILY = timedelta(hours=23, minutes=30)
"""Hourly runs do not end at the same minute each day."""

_GRANTS = "grants that cannot be asked with"
_NARROW = "too short for tokens:"


def due(
    connection: psycopg.Connection,
    app: str,
    counts: Mapping[str, int],
    met: Collection[str],
    now: datetime,
) -> list[Notice]:
    """What has to be told now, which is noted as told.

    Args:
        app: the client id.
        counts: of the run.
        met: what the errors say that a pause ended parts of the run with.
    """
    with connection.transaction():
        told = [Notice(LOOK, sentence) for sentence in warnings(counts)]
        if users := counts.get("tokens_put_back"):
            told.append(Notice(LOOK, warehouse_set_back(users, runs.last_ended(connection))))
        told += _dead_grants(connection, now)
        told += _narrow_columns(connection, now)
        pauses = {"Spotify": app, "ReccoBeats": RECCOBEATS}
        for name, whose in pauses.items():
            told += _pause(connection, name, whose, now)
        if not any(pause.find(connection, whose, now) for whose in pauses.values()):
            # One that was over before the run was: nobody else tells of it.
            told += [Notice(PAUSED, sentence) for sentence in dict.fromkeys(met)]
    return told


def _dead_grants(connection: psycopg.Connection, now: datetime) -> Iterator[Notice]:
    sentence = unusable_grants(grant_states.count(connection, now))
    sent = notices.find(connection, _GRANTS)
    if sentence is None:
        notices.forget(connection, _GRANTS)
    elif sent is None or sent.at <= now - _DAILY:
        notices.record(connection, _GRANTS, now)
        yield Notice(LOOK, sentence)


def _narrow_columns(connection: psycopg.Connection, now: datetime) -> Iterator[Notice]:
    """Tell once of a column that is too short for tokens."""
    narrow = {f"{_NARROW} {column.name}": column for column in tokens.narrow_columns(connection)}
    for subject, column in narrow.items():
        if notices.find(connection, subject) is None:
            notices.record(connection, subject, now)
            yield Notice(LOOK, column.sentence)
    for name in tokens.COLUMNS:
        if f"{_NARROW} {name}" not in narrow:
            notices.forget(connection, f"{_NARROW} {name}")


def _pause(connection: psycopg.Connection, name: str, app: str, now: datetime) -> Iterator[Notice]:
    """Tell of a pause when it is met first, and when it is over."""
    subject = f"pause of {app}"
    holds, sent = pause.find(connection, app, now), notices.find(connection, subject)
    told_until = datetime.fromisoformat(sent.detail) if sent and sent.detail else None
    if holds:
        if told_until is None or told_until <= now:
            notices.record(connection, subject, now, holds.until.isoformat())
            yield Notice(
                PAUSED,
                f"Paused by {name} until {holds.until:%Y-%m-%d %H:%M:%S} UTC: it takes no more"
                " requests before. Nothing is to be done: what was answered is kept, and the first"
                " run after that asks for the rest.",
            )
    elif told_until:
        notices.forget(connection, subject)
        yield Notice(
            RESUMED,
            f"The pause that {name} asked for is over (it was told until"
            f" {told_until:%Y-%m-%d %H:%M:%S} UTC): requests are sent again.",
        )
