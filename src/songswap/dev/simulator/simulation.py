"""The state of a running simulator: its options, its world and what clients did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from songswap.dev.simulator import draw
from songswap.dev.simulator.clock import Clock
from songswap.dev.simulator.fault import Faults
from songswap.dev.simulator.ledger import FeedHistory
from songswap.dev.simulator.metadata import Mode
from songswap.dev.simulator.play import SimulatedPlay
from songswap.dev.simulator.rolling_limit import RollingLimit
from songswap.dev.simulator.token import AuthorizationCode, TokenIssuer
from songswap.dev.simulator.world import SimulatedWorld

DEFAULT_HISTORY = 3 * 24 * 3_600 * 1000
"""How long before the clock's start the first plays begin by default, in ms."""
RATE_WINDOW = 30_000
"""The rate limit's rolling window, in ms."""
QUOTA_WINDOW = 24 * 3_600 * 1000
"""The quota's rolling day, in ms."""


class OptionError(ValueError):
    """The options contradict each other, or a name is too long."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to start a simulator. Times are in ms since 1970 UTC; the command checks ranges.

    Raises:
        OptionError: They contradict each other, or a name is too long.
    """

    host: str = "127.0.0.1"
    port: int = 8010
    """0 takes any free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names it accepts besides loopback and `host`, for networks that give it a name."""
    users: int = 25
    seed: int = 1
    epoch: int | None = None
    """When the first plays begin; None is three days before the clock's start."""
    clock: Literal["real", "frozen"] = "real"
    now: int | None = None
    """Where a frozen clock starts."""
    rate_limit: int = 3_000
    """The app's requests in a rolling 30 s; 0 is no limit."""
    quota: int = 0
    """The app's requests in a rolling day; 0 is no limit."""
    mode: Mode = "extended"
    client_id: str = "songswap"
    client_secret: str = "simulated"  # noqa: S105 - the secret of a simulated app
    recorded: tuple[tuple[str, Path], ...] = ()
    """Files of recorded responses by name: listeners' feeds, or metadata."""
    rotate_refresh_tokens: float = 0.3
    """The share of refreshes that return a new refresh token."""
    filtered: float = 0.0
    """The share of plays that recently-played removes from its pages after paging."""
    discord_log: Path | None = None
    """A file to which the Discord messages are appended as JSON lines."""

    def __post_init__(self) -> None:
        if (self.clock == "frozen") != (self.now is not None):
            raise OptionError("a frozen clock needs --now, a real one does not allow it")
        if any(not 0 < len(name) <= 64 for name, _ in self.recorded):
            raise OptionError("the NAME of --recorded must have 1 to 64 characters")


@dataclass
class Simulation:
    """A running simulator's state, in memory only."""

    options: Options
    clock: Clock
    world: SimulatedWorld
    tokens: TokenIssuer
    faults: Faults
    mode: Mode
    feed_history: FeedHistory = field(default_factory=FeedHistory)
    calls: Counter[tuple[str, str | None, str]] = field(default_factory=Counter)
    """Calls by endpoint, user and status (or "cut", "refused")."""
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    """Unused authorization codes."""
    refreshes: Counter[str] = field(default_factory=Counter)
    """Refreshes by user."""
    discord_messages: list[dict[str, Any]] = field(default_factory=list)
    discord_ids: int = 0

    def __post_init__(self) -> None:
        self._window = RollingLimit(self.options.rate_limit, RATE_WINDOW)
        self.limit_day(self.options.quota)

    @classmethod
    def of(cls, options: Options) -> Simulation:
        """Return a new simulation.

        Raises:
            RecordingError: A recorded file cannot be read.
        """
        clock = Clock(options.now)
        epoch = clock.now() - DEFAULT_HISTORY if options.epoch is None else options.epoch
        return cls(
            options=options,
            clock=clock,
            world=SimulatedWorld(options.seed, options.users, epoch, dict(options.recorded)),
            tokens=TokenIssuer(options.seed, clock),
            faults=Faults(options.seed),
            mode=options.mode,
        )

    def is_filtered(self, user: str, play: SimulatedPlay) -> bool:
        """Return whether a play is never returned, though it counts among the newest 50."""
        share = self.options.filtered
        if not share:
            return False
        return draw.share(self.options.seed, "filtered", user, play.day, play.index) < share

    def limit_day(self, quota: int) -> None:
        """Allow this many requests in a rolling day from now on; 0 is no limit."""
        self._day = RollingLimit(quota, QUOTA_WINDOW)

    def quota_wait(self) -> int | None:
        """Return the ms until the quota allows one more request; None if it does."""
        return self._day.wait(self.clock.now())

    def count_request(self) -> int | None:
        """Count a request, or return the ms until the rate limit allows one more."""
        now = self.clock.now()
        wait = self._window.wait(now)
        if wait is None:
            self._window.count(now)
            self._day.count(now)
        return wait
