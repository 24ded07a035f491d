"""What engineers are told of users who have to be erased: each user once at each stage.

A day before somebody is due, and again on the day, if nothing erases the user by itself; else a day
before that. Table ``songswap.notices`` remembers it while the user is on the list.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg

from songswap.alerts import due_notices
from songswap.alerts.notices import LOOK, Notice
from songswap.pipelines.due import MOST_A_DAY, Due, Refreshed
from songswap.warehouse import erasures, notices
from songswap.warehouse.disconnects import GONE, REVOKED

_DAILY = timedelta(hours=23, minutes=30)

_SOON = "has to be erased soon: user "
_NOW = "has to be erased now: user "
_BACK = "rows of an erased user are back: user "
_TOO_MANY = "too many users have to be erased at once: "
_REST = "more users have to be erased than a run does"


def due(
    connection: psycopg.Connection, found: Refreshed, *, by_itself: bool, now: datetime
) -> list[Notice]:
    """Return the notices that are due, and record them as sent, in the caller's transaction.

    Args:
        by_itself: whether the pipeline erases users whose day has come.
    """
    listed = [user for user in found.users if user.reason not in found.held_back]
    # Late ones too, who are erased only after a day in which somebody can say no.
    late = [user for user in listed if user.is_due(now)]
    last_day = [user for user in listed if user.days_left(now) == 1]
    soon = _unsaid(connection, _SOON, last_day + (late if by_itself else []), now)
    today = [] if by_itself else late
    due_now = _unsaid(connection, _NOW, today, now)
    _forget_others(connection, found.users)
    sentences = [
        due_notices.due_soon(users, day, by_itself=by_itself) for day, users in _by_day(soon)
    ]
    if due_now:
        sentences.append(due_notices.due_now([user.user_id for user in due_now]))
    sentences += _held_back(connection, found, now)
    sentences += _rest(connection, len(found.due_now(now)) if by_itself else 0, now)
    sentences += _back(connection, now)
    return [Notice(LOOK, sentence) for sentence in sentences]


def told_before(connection: psycopg.Connection, now: datetime) -> set[int]:
    """Return the users of whom engineers were told before today (UTC)."""
    today = now.astimezone(UTC).date()
    return {
        int(user_id)
        for stage in (_SOON, _NOW)
        for user_id, sent in notices.find_all(connection, stage).items()
        if sent.at.astimezone(UTC).date() < today
    }


def too_many(found: Refreshed) -> dict[str, str]:
    """Return a sentence, by reason, about users who are held back."""
    count = {reason: len(users) for reason, users in found.held_back.items()}
    sentences = {}
    if GONE in count:
        sentences[GONE] = due_notices.too_many_gone(count[GONE], found.archived or 0)
    if REVOKED in count:
        sentences[REVOKED] = due_notices.too_many_revoked(count[REVOKED])
    return sentences


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
    sentences = too_many(found)
    for reason in (GONE, REVOKED):
        if _is_daily(connection, f"{_TOO_MANY}{reason}", reason in sentences, now):
            yield sentences[reason]


def _rest(connection: psycopg.Connection, users: int, now: datetime) -> Iterator[str]:
    if _is_daily(connection, _REST, users > MOST_A_DAY, now):
        yield due_notices.more_than_a_run(users, MOST_A_DAY)


def _is_daily(connection: psycopg.Connection, subject: str, is_true: bool, now: datetime) -> bool:
    """Return whether to tell of what lasts, once a day, and record that."""
    if not is_true:
        notices.forget(connection, subject)
        return False
    sent = notices.find(connection, subject)
    if sent is not None and sent.at > now - _DAILY:
        return False
    notices.record(connection, subject, now)
    return True


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
