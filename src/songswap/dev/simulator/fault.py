"""Faults: what goes wrong, for which calls, how often. The first that matches a call applies."""

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
    """The fields of a fault contradict each other or are out of range."""


class Patch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of the true response at a path like `items/3/track/id`."""

    path: str
    value: Any = None
    remove: bool = False


class Mutation(msgspec.Struct, forbid_unknown_fields=True):
    """Changes of the true response, in order; a path that does not exist is skipped."""

    json_patch: list[Patch]


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong, and for which calls.

    respond   sends `status`, `headers` and `body` instead of the true response; without a status
              the true response, after `delay_ms` and with `headers` added
    cut       sends the headers and half of the true body, then closes the connection
    refuse    closes the connection at once; the server does nothing
    drop      closes the connection instead of sending the response
    truncate  sends a complete HTTP message with the first half of the true body
    endless   sends the true body, then spaces without an end: 64 KiB at a time, or one every
              `every_ms`
    bomb      sends the true body and `size_mb` MB of spaces, in gzip
    mutate    sends the true response changed by `mutate`
    stall     sends recently-played as it was at `since`: nothing that was listed later

    With cut, drop, truncate, endless, bomb and mutate the server does its work first: a token
    rotates and the client may never receive the new one. The same goes for a respond without a
    status whose `delay_ms` exceeds the client's timeout. `date_offset_s` shifts the header Date.
    """

    path: str | None = None
    """A glob for the URL's path; None is every path outside `/admin`."""
    user: str | None = None
    """A listener's id; None is every call, also those without a user."""
    share: float = 1.0
    """The share of matching calls, 0 to 1, drawn by the seed, the user and the call's number."""
    times: int | None = None
    """How often it strikes at most; None is without a limit."""
    first: bool = False
    """Whether it precedes the active faults instead of following them."""
    action: Action = "respond"
    status: int | None = None
    headers: dict[str, str] = {}
    body: Any = None
    """A string is sent unchanged, anything else as JSON."""
    delay_ms: int = 0
    date_offset_s: int = 0
    every_ms: int = 0
    size_mb: int = 0
    access_suffix: str = ""
    refresh_suffix: str = ""
    """Appended to the tokens of a token response, which stay valid: for long and odd tokens."""
    mutate: Mutation | None = None
    since: str | None = None
    """When a stalled feed listed its last play (ISO 8601)."""

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
    def is_truthful(self) -> bool:
        """Return whether the response is complete and true, if perhaps late or stale."""
        return self.status is None and self.action in ("respond", "stall")


class ActiveFault(msgspec.Struct):
    """A fault that applies to calls, and how often it struck."""

    id: int
    fault: Fault
    struck: int = 0


class Faults:
    """The active faults, in the order in which they are tried."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._active: dict[int, ActiveFault] = {}
        self._calls: defaultdict[tuple[int, str | None], int] = defaultdict(int)
        self._last_id = 0

    def add(self, fault: Fault) -> ActiveFault:
        """Activate a fault, after the others unless it is to be the first."""
        self._last_id += 1
        new = {self._last_id: ActiveFault(self._last_id, fault)}
        self._active = {**new, **self._active} if fault.first else {**self._active, **new}
        return new[self._last_id]

    def all(self) -> list[ActiveFault]:
        """Return the active faults, also those that have struck `times` times."""
        return list(self._active.values())

    def remove(self, fault_id: int) -> bool:
        """Remove a fault; return whether it existed."""
        return self._active.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Remove all faults."""
        self._active.clear()
        self._calls.clear()

    def strike(self, path: str, user: str | None) -> Fault | None:
        """Return the fault that strikes a call, and count it."""
        for active in self._active.values():
            fault = active.fault
            if fault.path is not None and not fnmatchcase(path, fault.path):
                continue
            if fault.user is not None and fault.user != user:
                continue
            if fault.times is not None and active.struck >= fault.times:
                continue
            if fault.share < 1 and not self._is_drawn(active, user):
                continue
            active.struck += 1
            return fault
        return None

    def _is_drawn(self, active: ActiveFault, user: str | None) -> bool:
        # Calls are numbered for each user, so that calls of others in between change nothing.
        self._calls[active.id, user] += 1
        number = self._calls[active.id, user]
        drawn = draw.share(self._seed, "fault", active.id, user or "", number)
        return drawn < active.fault.share


def mutated(body: bytes, mutation: Mutation) -> bytes:
    """Return a JSON body with the changes applied; one that is no JSON is returned unchanged."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    for patch in mutation.json_patch:
        *parents, key = patch.path.split("/")
        container = value
        for parent in parents:
            container = _child(container, parent)
        _apply(patch, container, key)
    return msgspec.json.encode(value)


def _child(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        return container.get(key)
    if isinstance(container, list) and key.isdecimal() and int(key) < len(container):
        return container[int(key)]
    return None


def _apply(patch: Patch, container: Any, key: str) -> None:
    if isinstance(container, dict):
        if patch.remove:
            container.pop(key, None)
        else:
            container[key] = patch.value
    elif isinstance(container, list) and key.isdecimal() and int(key) < len(container):
        if patch.remove:
            del container[int(key)]
        else:
            container[int(key)] = patch.value
