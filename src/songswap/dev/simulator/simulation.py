"""One running simulator: its options, its world and all that it remembers."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from songswap.dev.simulator import draw
from songswap.dev.simulator.clock import Clock
from songswap.dev.simulator.fault import Faults
from songswap.dev.simulator.ledger import Marks
from songswap.dev.simulator.play import Play
from songswap.dev.simulator.shelf import Mode
from songswap.dev.simulator.token import Grants
from songswap.dev.simulator.world import World

DEFAULT_LIFE = 3 * 24 * 3_600 * 1000
"""How long before the clock's start the listeners' lives begin, in ms, when nobody says."""
WINDOW = 30_000
"""The length of the rate limit's rolling window, in ms."""


class OptionError(ValueError):
    """The options contradict each other."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to start a simulator. Times in ms since 1970 UTC.

    Raises:
        OptionError: They contradict each other.
    """

    host: str = "127.0.0.1"
    port: int = 8010
    """0 takes any free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Names it is spoken to by, beside loopback and `host`; for networks that give it a name."""
    users: int = 25
    seed: int = 1
    epoch: int | None = None
    """When the listeners' lives begin; None is three days before the clock's start."""
    clock: Literal["real", "frozen"] = "real"
    now: int | None = None
    """Where a frozen clock starts."""
    rate_limit: int = 3_000
    """Requests in a rolling 30 s for the app; 0 is no limit."""
    mode: Mode = "extended"
    client_id: str = "songswap"
    client_secret: str = "simulated"  # noqa: S105 - the secret of a simulated app
    recorded: tuple[tuple[str, Path], ...] = ()
    """Recorded answers in files, by name: listeners' feeds, and what is told of tracks, artists."""
    rotate_refresh_tokens: float = 0.3
    """The share of refresh answers that carry a new refresh token."""
    filtered: float = 0.0
    """The share of plays that recently-played leaves out of its pages after it has cut them."""
    discord_log: Path | None = None
    """A file to which the Discord sink's messages are added as JSON lines."""

    def __post_init__(self) -> None:
        if (self.clock == "frozen") != (self.now is not None):
            raise OptionError("a frozen clock needs --now, a real one does not take it")
        if self.users < 0 or self.rate_limit < 0:
            raise OptionError("--users and --rate-limit must not be negative")
        if not 0 <= self.rotate_refresh_tokens <= 1:
            raise OptionError("--rotate-refresh-tokens must lie between 0 and 1")
        if not 0 <= self.filtered <= 1:
            raise OptionError("--filtered must lie between 0 and 1")
        if any(not 0 < len(name) <= 64 for name, _ in self.recorded):
            raise OptionError("the NAME of --recorded must have 1 to 64 characters")


@dataclass
class Simulation:
    """Everything one running simulator remembers."""

    options: Options
    clock: Clock
    world: World
    grants: Grants
    faults: Faults
    mode: Mode
    marks: Marks = field(default_factory=Marks)
    calls: Counter[tuple[str, str | None, str]] = field(default_factory=Counter)
    """Answered calls by endpoint, user and status (or "cut", "refused")."""
    window: deque[int] = field(default_factory=deque)
    """When each request of the last 30 s came, in ms."""
    codes: dict[str, Any] = field(default_factory=dict)
    """Authorization codes not yet redeemed."""
    refreshes: Counter[str] = field(default_factory=Counter)
    """Refreshes by user."""
    discord: list[dict[str, Any]] = field(default_factory=list)
    discord_ids: int = 0

    @classmethod
    def of(cls, options: Options) -> Simulation:
        """Return a simulation at its beginning.

        Raises:
            RecordingError: A recorded file cannot be read.
        """
        clock = Clock(options.now)
        epoch = clock.now() - DEFAULT_LIFE if options.epoch is None else options.epoch
        return cls(
            options=options,
            clock=clock,
            world=World(options.seed, options.users, epoch, dict(options.recorded)),
            grants=Grants(options.seed, clock),
            faults=Faults(options.seed),
            mode=options.mode,
        )

    def leaves_out(self, user: str, play: Play) -> bool:
        """Tell whether Spotify never tells a play, though it has its place among the newest 50."""
        share = self.options.filtered
        if not share:
            return False
        return draw.share(self.options.seed, "filtered", user, play.day, play.place) < share

    def take_place(self) -> int | None:
        """Take a place in the rate limit's window, or return the ms until there is one."""
        limit = self.options.rate_limit
        if not limit:
            return None
        now = self.clock.now()
        while self.window and self.window[0] <= now - WINDOW:
            self.window.popleft()
        if len(self.window) >= limit:
            return self.window[0] + WINDOW - now
        self.window.append(now)
        return None
