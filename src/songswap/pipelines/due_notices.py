"""What engineers are told of users who have to be erased: each user once at each stage.

A day before somebody is due, and again on the day, if nothing erases the user by itself. Table
``songswap.notices`` remembers it while the user is on the list.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

import psycopg

from songswap.alerts import due_notices
from songswap.alerts.notices import LOOK, Notice
from songswap.pipelines.due import Due, Refreshed
from songswap.warehouse import erasures, notices

_DAILY = timedelta(hours=23, minutes=30)

_SOON = "has to be erased soon: user "
_NOW = "has to be erased now: user "
_BACK = "rows of an erased user are back: user "
_TOO_MANY = "too many users are gone at once"


def due(
    connection: psycopg.Connection, found: Refreshed, *, by_itself: bool, now: datetime
) -> list[Notice]:
    """Return the notices that are due, and record them as sent, in the caller's transaction.

    Args:
        by_itself: whether the pipeline erases users whose day has come.
    """
    held_back = set(found.gone) if found.is_held_back else set[Due]()
    listed = [user for user in found.users if user not in held_back]
    soon = _unsaid(connection, _SOON, (user for user in listed if user.days_left(now) == 1), now)
    today = [user for user in listed if user.days_left(now) <= 0 and not by_itself]
    due_now = _unsaid(connection, _NOW, today, now)
    _forget_others(connection, found.users)
    sentences = [
        due_notices.due_soon(users, day, by_itself=by_itself) for day, users in _by_day(soon)
    ]
    if due_now:
        sentences.append(due_notices.due_now([user.user_id for user in due_now]))
    sentences += _held_back(connection, found, now)
    sentences += _back(connection, now)
    return [Notice(LOOK, sentence) for sentence in sentences]


def _unsaid(
    connection: psycopg.Connection, stage: str, users: Iterable[Due], now: datetime
) -> list[Due]:
    said = notices.find_all(connection, stage)
    new = [user for user in users if str(user.user_id) not in said]
    for user in new:
        notices.record(connection, f"{stage}{user.user_id}", now)
    return new


def _forget_others(connection: psycopg.Connection, listed: Iterable[Due]) -> None:
    """Forget users who are off the list: they may be on it again one day."""
    ids = {str(user.user_id) for user in listed}
    for stage in (_SOON, _NOW):
        for user_id in notices.find_all(connection, stage).keys() - ids:
            notices.forget(connection, f"{stage}{user_id}")


def _by_day(users: Iterable[Due]) -> Iterator[tuple[date, list[int]]]:
    days: dict[date, list[int]] = {}
    for user in users:
        days.setdefault(user.day, []).append(user.user_id)
    yield from sorted(days.items())


def _held_back(connection: psycopg.Connection, found: Refreshed, now: datetime) -> Iterator[str]:
    if not found.is_held_back:
        notices.forget(connection, _TOO_MANY)
        return
    sent = notices.find(connection, _TOO_MANY)
    if sent is None or sent.at <= now - _DAILY:
        notices.record(connection, _TOO_MANY, now)
        yield due_notices.too_many_gone(len(found.gone), found.archived or 0)


def _back(connection: psycopg.Connection, now: datetime) -> Iterator[str]:
    """Say once of each erased user that rows are there again."""
    back, said = erasures.back(connection), notices.find_all(connection, _BACK)
    for gone in said.keys() - {str(user_id) for user_id in back}:
        notices.forget(connection, f"{_BACK}{gone}")
    new = [user_id for user_id in back if str(user_id) not in said]
    for user_id in new:
        notices.record(connection, f"{_BACK}{user_id}", now)
    if new:
        yield due_notices.rows_are_back(new)
