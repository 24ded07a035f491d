"""Each mutant of `tests/mutants.py` can be made of the code as it is."""

import ast

import pytest
from mutants import MUTANTS, ROOT, CannotMutate, Mutant, mutated


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_changes_code_that_exists(mutant: Mutant) -> None:
    """The changed file is still Python, and the test that has to fail exists."""
    path, broken = mutated(mutant, ROOT)
    if path.suffix == ".py":
        assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(path.read_text()))
    else:
        assert broken != path.read_text()
    file, _, test = mutant.seen_by.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text()


@pytest.mark.parametrize(
    ("where", "old", "problem"),
    [
        ("songswap.nowhere.load", "x", "there is no songswap.nowhere.load"),
        ("songswap.clock.nowhere", "x", "there is no songswap.clock.nowhere"),
        ("songswap.warehouse.grants:nothing", "x", "grants:nothing has 'x' 0 times"),
        ("songswap.clock.utc_now", "nothing", "utc_now has 'nothing' 0 times instead of once"),
    ],
)
def test_mutant_of_code_that_has_changed_says_so(where: str, old: str, problem: str) -> None:
    with pytest.raises(CannotMutate, match=problem):
        mutated(Mutant("", where, old, "y", ""), ROOT)
