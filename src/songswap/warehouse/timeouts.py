"""How long sessions of the warehouse may wait, and for what."""

import os
from dataclasses import dataclass, replace

from songswap.errors import SettingsError

_WAIT_S = 60.0
_VANISHED_S = 75.0
_BUSY_S = 3.0
"""A server, or this machine, can be busy for so long at any time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest waits of a session, in seconds.

    ``lock_s`` is for a row or table that another session has locked; ``turn_s`` for a user or a
    part of the catalogue that other loads of ours have locked, which can be many and long;
    ``statement_s`` for a statement, with its waits; ``silence_s`` for a sign of life of the server.
    A transaction that is idle for ``idle_s`` is rolled back: its process is frozen. A run whose
    lease is not renewed for ``lease_s`` is dead.
    """

    lock_s: float
    turn_s: float
    statement_s: float
    idle_s: float
    silence_s: float
    lease_s: float

    @property
    def check_s(self) -> float:
        """After how long a wait, and how often then, to look up who holds the lock."""
        return self.lock_s / 3

    @property
    def vanished_s(self) -> float:
        """After how long a silence of the other host each side gives a connection up.

        Longer than the wait for a lock, in which the server sends nothing; at most 75 s.
        """
        return min(1.25 * self.silence_s, _VANISHED_S)

    @property
    def copy_s(self) -> float:
        """How long a COPY may block others: its process may be frozen too."""
        return 2 * self.idle_s


def limits() -> Limits:
    """Return the limits of every session, all derived from ``SONGSWAP_WAIT_S``.

    They are read here because every process that opens a session needs them.

    Raises:
        SettingsError: ``SONGSWAP_WAIT_S`` is not a number of seconds from 0.1 to 3600.
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
    """Return the limits of migrations, which may rewrite whole tables and their indexes."""
    usual = limits()
    return replace(usual, statement_s=12 * usual.statement_s)


def ms(seconds: float) -> str:
    """Return seconds in milliseconds, as PostgreSQL's and libpq's settings have them."""
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
