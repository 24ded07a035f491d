"""The mutants of `tests/mutants.py` can be made of the code as it is."""

import runpy
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_each_mutant_has_its_place() -> None:
    """Each changes one place of a file, and who has to notice it is there."""
    mutants = runpy.run_path(str(TESTS / "mutants.py"))["MUTANTS"]
    assert len(mutants) > 10
    for one in mutants:
        text = (TESTS.parent / "src/songswap" / one.file).read_text()
        assert (one.name, text.count(one.old)) == (one.name, 1)
        file, _, test = one.seen_by.partition("::")
        assert f"def {test.partition('[')[0]}(" in (TESTS.parent / file).read_text()
