"""Property tests: the suite draws the same examples each time, `make fuzz` new ones."""

import re
from pathlib import Path

from hypothesis import settings

TESTS = Path(__file__).parents[1]


def test_suite_draws_the_same_examples() -> None:
    """Nothing is kept of a run and nothing drawn anew, unless the other profile is asked for."""
    suite, fuzz = settings.get_profile("suite"), settings.get_profile("fuzz")
    assert (suite.derandomize, suite.database, suite.deadline) == (True, None, None)
    assert (fuzz.derandomize, fuzz.database, fuzz.deadline) == (False, None, None)
    assert fuzz.max_examples >= 10 * suite.max_examples


def test_numbers_of_examples_follow_the_profile() -> None:
    for file in TESTS.rglob("test_*.py"):
        found = re.findall(r"\bmax_examples=([^,)\n]+)", file.read_text())
        own = [one for one in found if not one.startswith(("examples(", "("))]
        assert own == [], f"{file}: use examples(share)"
        assert file == Path(__file__) or "derandomize=" not in file.read_text(), file
