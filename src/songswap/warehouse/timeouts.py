"""How long a session of the warehouse may wait, and for what."""

import os
from dataclasses import dataclass, replace

from songswap.errors import SettingsError

_WAIT_S = 60.0
_VANISHED_S = 75.0
_BUSY_S = 3.0
"""So long a server, or this machine, may be busy at any time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a session waits at most.

    ``lock_s`` for a row or a table that somebody else holds; ``turn_s`` for other loads of ours,
    which may be many and long; ``statement_s`` for a statement, its waiting included; ``silence_s``
    for a sign of life of the server. A session that is in a transaction and says nothing for
    ``idle_s`` loses it, with its locks: its process is frozen. A run that nobody renews for
    ``lease_s`` is dead.
    """

    lock_s: float
    turn_s: float
    statement_s: float
    idle_s: float
    silence_s: float
    lease_s: float

    @property
    def look_s(self) -> float:
        """After which waiting, and how often then, to look who is in the way."""
        return self.lock_s / 3

    @property
    def vanished_s(self) -> float:
        """After which silence of its host a connection is given up, on both sides.

        Longer than a lock is waited for, while nothing may be read; never over 75 s.
        """
        return min(1.25 * self.silence_s, _VANISHED_S)

    @property
    def copy_s(self) -> float:
        """How long a copy may take that keeps others waiting: its process may be frozen too."""
        return 2 * self.idle_s


def limits() -> Limits:
    """The limits of every session; all follow from the setting ``SONGSWAP_WAIT_S``.

    Every session needs them, whoever opens it, in processes of this machine and of others: so they
    are read here.

    Raises:
        SettingsError: it is no number of seconds.
    """
    wait_s = _wait_s()
    return Limits(
        lock_s=wait_s,
        turn_s=15 * wait_s,
        statement_s=20 * wait_s,
        idle_s=5 * wait_s,
        silence_s=max(_BUSY_S, wait_s),
        lease_s=2 * max(_BUSY_S, wait_s),
    )


def limits_of_migrations() -> Limits:
    """The limits of migrations, which may write whole tables and their indexes anew."""
    usual = limits()
    return replace(usual, statement_s=12 * usual.statement_s)


def ms(seconds: float) -> str:
    """Seconds as PostgreSQL's settings and libpq's take them, in milliseconds."""
    return str(round(1000 * seconds))


def _wait_s() -> float:
    text = os.environ.get("SONGSWAP_WAIT_S", "").strip()
    if not text:
        return _WAIT_S
    try:
        wait_s = float(text)
    except ValueError:
        wait_s = 0
    if not 0.1 <= wait_s <= 3600:
        raise SettingsError(
            f"SONGSWAP_WAIT_S has to be a number of seconds from 0.1 to 3600, not {text!r}."
        )
    return wait_s
