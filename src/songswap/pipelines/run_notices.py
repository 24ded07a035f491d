"""What engineers are told at a run's end beside its failures: once, or once a day."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain

import psycopg

from songswap.alerts.notices import (
    LOOK,
    PAUSED,
    RESUMED,
    Notice,
    hour_is_short,
    limit_is_too_small,
    unusable_grants,
    warehouse_set_back,
    warnings,
)
from songswap.pipelines.endpoints import ENDPOINTS, RECCOBEATS, SPOTIFY
from songswap.warehouse import grant_states, notices, runs, tokens
from songswap.warehouse.limits import pauses

_DAILY = timedelta(hours=23, minutes=30)
"""Hourly runs do not end at the same minute each day."""

_GRANTS = "grants that cannot be asked with"
_NARROW = "too short for tokens:"
_SHORT_HOUR = "an hour that does not serve all users"
_TOO_SMALL = "a limit that is too small for users at risk"


def due(
    connection: psycopg.Connection,
    app: str,
    counts: Mapping[str, int],
    pauses_met: Collection[str],
    now: datetime,
) -> list[Notice]:
    """Return the notices that are due, and record them as sent.

    Args:
        app: the client id.
        counts: of the run.
        pauses_met: the sentences of pauses that ended parts of the run.
    """
    services = {"Spotify": app, "ReccoBeats": RECCOBEATS}
    for endpoint in chain.from_iterable(ENDPOINTS.values()):
        if endpoint.source == SPOTIFY:
            name = f"Spotify's endpoint {endpoint.name}"
            services[name] = pauses.of_endpoint(app, endpoint.name)
    with connection.transaction():
        due = [Notice(LOOK, sentence) for sentence in warnings(counts)]
        if users := counts.get("tokens_put_back"):
            due.append(Notice(LOOK, warehouse_set_back(users, runs.last_ended(connection))))
        due += _dead_grants(connection, now)
        due += _narrow_columns(connection, now)
        due += _limits(connection, counts, now)
        for name, paused in services.items():
            due += _pause(connection, name, paused, now)
        if not any(pauses.find(connection, paused, now) for paused in services.values()):
            # A pause that was over before the run was: no other notice says so.
            due += [Notice(PAUSED, sentence) for sentence in dict.fromkeys(pauses_met)]
    return due


def _dead_grants(connection: psycopg.Connection, now: datetime) -> Iterator[Notice]:
    sentence = unusable_grants(grant_states.count(connection, now))
    sent = notices.find(connection, _GRANTS)
    if sentence is None:
        notices.forget(connection, _GRANTS)
    elif sent is None or sent.at <= now - _DAILY:
        notices.record(connection, _GRANTS, now)
        yield Notice(LOOK, sentence)


def _limits(
    connection: psycopg.Connection, counts: Mapping[str, int], now: datetime
) -> Iterator[Notice]:
    """Report an hour that does not serve all users, once; and users without room, once a day.

    An hour is short again when none was for a day: a limit may be met in every second hour.
    """
    short = notices.find(connection, _SHORT_HOUR)
    if counts.get("deferred"):
        notices.record(connection, _SHORT_HOUR, now)
        if short is None or short.at <= now - _DAILY:
            yield Notice(LOOK, hour_is_short(counts))
    if users := counts.get("endangered"):
        sent = notices.find(connection, _TOO_SMALL)
        if sent is None or sent.at <= now - _DAILY:
            notices.record(connection, _TOO_SMALL, now)
            yield Notice(LOOK, limit_is_too_small(users))


def _narrow_columns(connection: psycopg.Connection, now: datetime) -> Iterator[Notice]:
    """Report a column that is too short for tokens, once."""
    narrow = {f"{_NARROW} {column.name}": column for column in tokens.narrow_columns(connection)}
    for subject, column in narrow.items():
        if notices.find(connection, subject) is None:
            notices.record(connection, subject, now)
            yield Notice(LOOK, column.sentence)
    for name in tokens.COLUMNS:
        if f"{_NARROW} {name}" not in narrow:
            notices.forget(connection, f"{_NARROW} {name}")


def _pause(
    connection: psycopg.Connection, name: str, paused: str, now: datetime
) -> Iterator[Notice]:
    """Report a pause when it begins, and when it is over."""
    subject = f"pause of {paused}"
    pause, sent = pauses.find(connection, paused, now), notices.find(connection, subject)
    sent_until = datetime.fromisoformat(sent.detail) if sent and sent.detail else None
    if pause:
        if sent_until is None or sent_until <= now:
            notices.record(connection, subject, now, pause.until.isoformat())
            yield Notice(
                PAUSED,
                f"Paused by {name} until {pause.until:%Y-%m-%d %H:%M:%S} UTC: it accepts no"
                " requests until then. There is nothing to do: responses received are stored, and"
                " the first run after that requests the rest.",
            )
    elif sent_until:
        notices.forget(connection, subject)
        yield Notice(
            RESUMED,
            f"The pause that {name} asked for is over (it was to last until"
            f" {sent_until:%Y-%m-%d %H:%M:%S} UTC): requests are sent again.",
        )
