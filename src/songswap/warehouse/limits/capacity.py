"""How many users an app's learned limits serve in an hour: pure, but for `read`.

The limit of the window bounds what can be sent in the time that polls may take. The limit of the
day is spread evenly over its hours: whoever spends it in the morning polls nobody until the next.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements

POLLS_SHARE = 0.85
"""The share of a limit that polls are planned for. The rest is for polls between the hours, for
enrichment, for requests that are sent again, and because the limit is an estimate."""

ROTATION_SHARE = 0.25
"""The least share of an hour's polls that goes to those unpolled longest, however many others could
lose plays: so everybody's turn comes."""

POLLING_TIME = timedelta(minutes=45)
"""How long the polls of a run may take. A run has 55 minutes, also for its last load and for
enrichment."""

_REMEMBERED = 6
"""The hours, with the present one, whose use beyond their share is given back. Debts of a whole day
would leave the hours after a limit was learned without polls. As long counts what a poll takes."""

_WINDOW = timedelta(seconds=30)

_MOST_REQUESTS = 2.0
"""Requests that a poll is taken to need at most: in an outage, they are sent again and again."""

_SQL = statements("limits/capacity.sql")


class Learned(NamedTuple):
    """What is known of an app's limits; None where none was met.

    ``polls_by_hour`` are the requests for plays in each of the last 24 hours, the present one last;
    ``in_day`` are all requests in them. ``per_poll`` is how many requests a poll takes.
    """

    per_window: int | None = None
    per_day: int | None = None
    window: timedelta = _WINDOW
    polls_by_hour: Sequence[int] = ()
    in_day: int = 0
    per_poll: float = 1.0

    def an_hour(self, lasts: timedelta = POLLING_TIME) -> int | None:
        """Return how many users are served in an hour on end; None without a limit.

        Args:
            lasts: the time for polls.
        """
        return self._users(self._in_window(lasts), self._hour_of_day())

    def next_hour(self, lasts: timedelta) -> int | None:
        """Return how many users are served in the present hour; None without a limit.

        What the hours before took beyond their share of the day is given back first.
        """
        share, used = self._hour_of_day(), self.polls_by_hour[-_REMEMBERED:]
        if share is not None and used:
            balance = 0.0
            for requests in used[:-1]:
                balance = min(0.0, balance + share - requests)
            share = max(0.0, min(share + balance - used[-1], self._room_in_day()))
        return self._users(self._in_window(lasts), share)

    def at_once(self, lasts: timedelta) -> int | None:
        """Return how many users the limits leave room for, if nothing is left for later hours."""
        day = None if self.per_day is None else self._room_in_day()
        return self._users(self._in_window(lasts, 1.0), day)

    def _room_in_day(self) -> float:
        return float(max(0, (self.per_day or 0) - self.in_day))

    def _in_window(self, lasts: timedelta, share: float = POLLS_SHARE) -> float | None:
        if self.per_window is None:
            return None
        return share * self.per_window * max(timedelta(), lasts) / self.window

    def _hour_of_day(self) -> float | None:
        return None if self.per_day is None else POLLS_SHARE * self.per_day / 24

    def _users(self, *requests: float | None) -> int | None:
        """Return how many users the least of these numbers of requests serves."""
        known = [number for number in requests if number is not None]
        return int(min(known) / self.per_poll) if known else None


class Hour(NamedTuple):
    """Whom an hour polls: ``polled`` users, of whom ``at_risk`` could lose plays otherwise.

    ``deferred`` are polled in later hours; ``endangered`` are those at risk for whom the limits
    leave no room.
    """

    polled: int
    deferred: int = 0
    endangered: int = 0


def hour_of(learned: Learned, lasts: timedelta, users: int, at_risk: int) -> Hour:
    """Decide how many users an hour polls.

    A limit is an estimate, so it never keeps a user from being polled who could lose plays: only
    Spotify itself does. The others are polled as far as the limits serve them.

    Args:
        lasts: the time that is left for polls.
        users: how many can be polled.
        at_risk: how many of them could lose plays before the next hour.
    """
    served, room = learned.next_hour(lasts), learned.at_once(lasts)
    if served is None or room is None or served >= users:
        return Hour(users)
    rotation = int(ROTATION_SHARE * (learned.an_hour() or 0)) + 1
    polled = min(users, at_risk + max(rotation, served - at_risk))
    return Hour(polled, users - polled, max(0, at_risk - room))


def read(
    connection: psycopg.Connection, app: str | None, now: datetime, window: timedelta = _WINDOW
) -> Learned:
    """Read what is known of the limits of an app, or of the narrowest of all apps' (None).

    Args:
        window: in which Spotify counts requests.
    """
    params = {"app": app, "now": now, "remembered": _REMEMBERED}
    row = connection.execute(_SQL["learned"], params).fetchone()
    if row is None:
        return Learned(window=window)
    per_window, per_day, polls_by_hour, in_day, calls, polled = row
    per_poll = min(_MOST_REQUESTS, max(1.0, calls / polled)) if polled else 1.0
    return Learned(per_window, per_day, window, polls_by_hour, in_day, per_poll)
