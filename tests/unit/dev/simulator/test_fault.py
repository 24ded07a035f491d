"""Faults strike the calls they match, as often as they should, the same every time."""

from typing import Any

import msgspec
import pytest

from songswap.dev.simulator.fault import Fault, FaultError, Faults, Mutation, Patch, mutated


def strikes(faults: Faults, user: str | None, calls: int = 200) -> list[bool]:
    return [faults.strike("/v1/me", user) is not None for _ in range(calls)]


def test_fault_matches_path_and_user() -> None:
    """The path is a glob, the user an id; None is any."""
    faults = Faults(1)
    faults.add(Fault(path="/v1/me/*", user="a", status=500))
    assert faults.strike("/v1/me/player/recently-played", "a") is not None
    assert faults.strike("/v1/me/player/recently-played", "b") is None
    assert faults.strike("/v1/tracks", "a") is None


def test_first_fault_wins_until_it_struck_often_enough() -> None:
    """`times` limits the first; then the second strikes."""
    faults = Faults(1)
    faults.add(Fault(times=2, status=500))
    faults.add(Fault(status=503))
    statuses = [(fault := faults.strike("/v1/me", None)) and fault.status for _ in range(4)]
    assert statuses == [500, 500, 503, 503]
    assert [active.struck for active in faults.all()] == [2, 2]


def test_first_fault_precedes_active_ones() -> None:
    """With `first`, a new fault strikes before older ones."""
    faults = Faults(1)
    faults.add(Fault(status=500))
    faults.add(Fault(status=503, first=True, times=1))
    statuses = [(fault := faults.strike("/v1/me", None)) and fault.status for _ in range(2)]
    assert statuses == [503, 500]


def test_share_is_drawn_by_seed_and_call_number() -> None:
    """The same calls of a user are struck whatever other users do; another seed strikes others."""
    alone, crowded, other = Faults(1), Faults(1), Faults(2)
    for faults in (alone, crowded, other):
        faults.add(Fault(share=0.3, status=500))
    expected = strikes(alone, "a")
    assert 30 < sum(expected) < 90
    mixed = []
    for _ in range(200):
        crowded.strike("/v1/me", "b")
        mixed.append(crowded.strike("/v1/me", "a") is not None)
    assert mixed == expected
    assert strikes(other, "a") != expected


def test_removed_fault_strikes_no_more() -> None:
    """One is removed by its id, or all are."""
    faults = Faults(1)
    first = faults.add(Fault(status=500))
    faults.add(Fault(status=503))
    assert faults.remove(first.id)
    assert not faults.remove(first.id)
    assert [active.fault.status for active in faults.all()] == [503]
    faults.clear()
    assert faults.strike("/v1/me", None) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"share": 1.5}, "between 0 and 1"),
        ({"times": 0}, "at least 1"),
        ({"status": 99}, "between 200 and 599"),
        ({"body": "x"}, "a body needs a status"),
        ({"delay_ms": -1}, "not be negative"),
        ({"size_mb": 1}, "need each other"),
        ({"action": "bomb"}, "need each other"),
        ({"every_ms": 1}, "needs the action endless"),
        ({"action": "mutate"}, "need each other"),
        ({"mutate": Mutation([])}, "need each other"),
        ({"action": "stall"}, "need each other"),
        ({"since": "2026-11-22T18:00:00Z"}, "need each other"),
        ({"action": "stall", "since": "noon"}, "no ISO 8601 time"),
    ],
)
def test_contradictory_fault_is_refused(fields: dict[str, Any], message: str) -> None:
    """The error says which fields are wrong."""
    with pytest.raises(FaultError, match=message):
        Fault(**fields)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (Patch("items/1/id", None), {"items": [{"id": 1}, {"id": None}]}),
        (Patch("items/0/id", remove=True), {"items": [{}, {"id": 2}]}),
        (Patch("items/0", remove=True), {"items": [{"id": 2}]}),
        (Patch("items/1", [7]), {"items": [{"id": 1}, [7]]}),
        (Patch("items/9/id", 0), {"items": [{"id": 1}, {"id": 2}]}),
        (Patch("nobody/home", 0), {"items": [{"id": 1}, {"id": 2}]}),
        (Patch("new", "x"), {"items": [{"id": 1}, {"id": 2}], "new": "x"}),
    ],
)
def test_mutation_changes_existing_paths(patch: Patch, expected: dict[str, Any]) -> None:
    """It sets and removes values, and skips paths that do not exist."""
    body = b'{"items":[{"id":1},{"id":2}]}'
    assert msgspec.json.decode(mutated(body, Mutation([patch]))) == expected


def test_mutation_leaves_other_bodies_unchanged() -> None:
    """A body that is no JSON is sent as it is."""
    assert mutated(b"<html>", Mutation([Patch("a", 1)])) == b"<html>"
