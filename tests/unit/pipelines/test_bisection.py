"""Bad records are isolated, and all others are done once and in order."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from songswap.pipelines.bisection import Bisection


def run(items: Sequence[int], bad: set[int]) -> tuple[list[Sequence[int]], list[int]]:
    """The parts that were done, and the items that were refused."""
    done: list[Sequence[int]] = []
    refused: list[int] = []
    parts = Bisection(items)
    for part in parts:
        if not bad.intersection(part):
            done.append(part)
        elif not parts.halve(part):
            refused.extend(part)
    return done, refused


def test_good_items_are_done_together() -> None:
    assert run(range(500), set()) == ([range(500)], [])


def test_no_items_are_done_too() -> None:
    """So that what belongs to their transaction is done."""
    assert run([], set()) == ([[]], [])


def test_bad_item_costs_few_parts() -> None:
    done, refused = run(range(512), {300})
    assert (len(done), refused) == (9, [300])


@given(st.lists(st.integers(), unique=True, max_size=60), st.data())
def test_each_item_is_done_once_and_in_order(items: list[int], data: st.DataObject) -> None:
    bad = set(data.draw(st.lists(st.sampled_from(items)))) if items else set()
    done, refused = run(items, bad)
    assert [item for part in done for item in part] == [i for i in items if i not in bad]
    assert refused == [item for item in items if item in bad]
