"""Faults: what shall go wrong, for whom, how often. The first that matches a call wins."""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from songswap.dev.simulator import draw
from songswap.dev.simulator.clock import parse_iso

Action = Literal[
    "respond", "cut", "refuse", "drop", "truncate", "endless", "bomb", "mutate", "stall"
]


class FaultError(ValueError):
    """The order makes no sense as a fault."""


class Patch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of the true answer at a path like `items/3/track/id`."""

    path: str
    value: Any = None
    remove: bool = False


class Mutation(msgspec.Struct, forbid_unknown_fields=True):
    """Changes of the true answer, in order; a path that is not there is passed over."""

    json_patch: list[Patch]


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong, and for which calls.

    respond   answers `status`, `headers`, `body` instead of the truth; without a status the truth
              goes out, late by `delay_ms` and with `headers` added
    cut       sends the headers and half of the true body, then closes the connection
    refuse    closes the connection at once; nothing happens on the server
    drop      does the work, then closes the connection without a word
    truncate  sends a whole HTTP message whose body is the first half of the true one
    endless   sends the true body with spaces behind it, without an end: 64 KiB at once, or one
              every `every_ms`
    bomb      sends the true body with `size_mb` MB of spaces behind it, in gzip
    mutate    sends the true answer changed by `mutate`
    stall     sends the recently-played answer as it was at `since`: nothing listed later is in it

    In cut, drop, truncate, endless, bomb and mutate the server does its work: a token rotates and
    nobody learns it. So it does in a respond without a status whose `delay_ms` is longer than the
    caller waits. `date_offset_s` shifts the Date of any of these answers.
    """

    path: str | None = None
    """A glob for the URL's path; None is every path but the admin's."""
    user: str | None = None
    """A listener's id; None is everybody, also calls of no user."""
    share: float = 1.0
    """The part of the matching calls, 0 to 1, drawn by the seed, the user and the call's number."""
    times: int | None = None
    """How often it strikes at most."""
    first: bool = False
    """It comes before those that are in force, not behind them."""
    action: Action = "respond"
    status: int | None = None
    headers: dict[str, str] = {}
    body: Any = None
    """A string is sent as it is, anything else as JSON."""
    delay_ms: int = 0
    date_offset_s: int = 0
    every_ms: int = 0
    size_mb: int = 0
    access_suffix: str = ""
    refresh_suffix: str = ""
    """Put behind the tokens of a token answer, which stay good: for long and odd ones."""
    mutate: Mutation | None = None
    since: str | None = None
    """When a stalled feed took its last play (ISO 8601)."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise FaultError(f"share is {self.share}, it must lie between 0 and 1")
        if self.times is not None and self.times < 1:
            raise FaultError(f"times is {self.times}, it must be at least 1 or null")
        if self.status is not None and not 200 <= self.status <= 599:
            raise FaultError(f"status is {self.status}, it must lie between 200 and 599")
        if self.body is not None and self.status is None:
            raise FaultError("a body needs a status")
        for name in ("delay_ms", "every_ms", "size_mb"):
            if (number := getattr(self, name)) < 0:
                raise FaultError(f"{name} is {number}, it must not be negative")
        if self.every_ms and self.action != "endless":
            raise FaultError("every_ms needs the action endless")
        if (self.action == "bomb") != (self.size_mb > 0):
            raise FaultError("action bomb and the field size_mb need each other")
        if (self.action == "mutate") != (self.mutate is not None):
            raise FaultError("action mutate and the field mutate need each other")
        if (self.action == "stall") != (self.since is not None):
            raise FaultError("action stall and the field since need each other")
        if self.since is not None:
            try:
                parse_iso(self.since)
            except ValueError as error:
                raise FaultError(f"since is {self.since!r}, which is no ISO 8601 time") from error

    @property
    def leaves_truth(self) -> bool:
        """Tell whether an answer goes out that is whole and true, if perhaps late or stale."""
        return self.status is None and self.action in ("respond", "stall")


class Standing(msgspec.Struct):
    """A fault in force, and how often it has struck."""

    id: int
    fault: Fault
    struck: int = 0


class Faults:
    """The faults in force, in the order in which they are tried."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._standing: dict[int, Standing] = {}
        self._calls: defaultdict[tuple[int, str | None], int] = defaultdict(int)
        self._last_id = 0

    def add(self, fault: Fault) -> Standing:
        """Put a fault in force, behind the others unless it is to be the first."""
        self._last_id += 1
        new = {self._last_id: Standing(self._last_id, fault)}
        self._standing = {**new, **self._standing} if fault.first else {**self._standing, **new}
        return new[self._last_id]

    def all(self) -> list[Standing]:
        """Return the faults in force, also those that have struck as often as they may."""
        return list(self._standing.values())

    def remove(self, fault_id: int) -> bool:
        """End a fault; tell whether it was there."""
        return self._standing.pop(fault_id, None) is not None

    def clear(self) -> None:
        """End all faults."""
        self._standing.clear()
        self._calls.clear()

    def strike(self, path: str, user: str | None) -> Fault | None:
        """Return the fault that strikes this call, and count it."""
        for standing in self._standing.values():
            fault = standing.fault
            if fault.path is not None and not fnmatchcase(path, fault.path):
                continue
            if fault.user is not None and fault.user != user:
                continue
            if fault.times is not None and standing.struck >= fault.times:
                continue
            if fault.share < 1 and not self._is_drawn(standing, user):
                continue
            standing.struck += 1
            return fault
        return None

    def _is_drawn(self, standing: Standing, user: str | None) -> bool:
        # Numbered for each user: which calls of others come in between changes nothing.
        self._calls[standing.id, user] += 1
        number = self._calls[standing.id, user]
        drawn = draw.share(self._seed, "fault", standing.id, user or "", number)
        return drawn < standing.fault.share


def mutated(body: bytes, mutation: Mutation) -> bytes:
    """Return a JSON body with the changes made; one that is no JSON comes back as it is."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    for patch in mutation.json_patch:
        *way, last = patch.path.split("/")
        place = value
        for step in way:
            place = _inside(place, step)
        _change(place, last, patch)
    return msgspec.json.encode(value)


def _inside(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    return None


def _change(place: Any, last: str, patch: Patch) -> None:
    if isinstance(place, dict):
        if patch.remove:
            place.pop(last, None)
        else:
            place[last] = patch.value
    elif isinstance(place, list) and last.isdecimal() and int(last) < len(place):
        if patch.remove:
            del place[int(last)]
        else:
            place[int(last)] = patch.value
