"""When Python's garbage collector is paused."""

import gc

import pytest

from songswap.parallel.gc_pause import gc_paused


def test_collector_is_paused_until_the_outer_block_ends() -> None:
    """An error ends a block as well."""
    assert gc.isenabled()
    with gc_paused():
        with pytest.raises(ValueError, match="wrong"), gc_paused():
            raise ValueError("wrong")
        assert not gc.isenabled()
    assert gc.isenabled()


def test_rows_of_a_function_are_freed_before_the_collector_runs() -> None:
    """So it has none to visit."""
    freed: list[bool] = []

    class Row:
        def __del__(self) -> None:
            freed.append(gc.isenabled())

    @gc_paused()
    def load() -> int:
        rows = [Row()]
        return len(rows)

    assert load() == 1
    assert freed == [False]
