"""Comparisons, with messages that say what was expected and found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from songswap.errors import AcceptanceFailed

_NO_HARM = "Nothing real was touched; the rest of the test removes what it made."


def expect(what: str, expected: object, found: object, module: str) -> None:
    """Compare a value with the expected one.

    Args:
        what: the value's name in the message, such as "the user's plays".
        module: the code that produces it.

    Raises:
        AcceptanceFailed: they differ; says what was expected and found.
    """
    if found != expected:
        raise AcceptanceFailed(
            f"{what}: expected {_short(expected)}, found {_short(found)}."
            f" Look at {module}. {_NO_HARM}"
        )


def expect_rows(
    expected: Mapping[str, Sequence[tuple[Any, ...]]],
    found: Mapping[str, Sequence[tuple[Any, ...]]],
    module: str,
) -> None:
    """Compare rows table by table, in any order; a table that is not expected has to be empty.

    Raises:
        AcceptanceFailed: they differ; names each missing and wrong row of the first table.
    """
    for table in [*expected, *(found.keys() - expected.keys())]:
        wanted, present = Counter(expected.get(table, ())), Counter(found.get(table, ()))
        if wanted != present:
            missing = list((wanted - present).elements())
            wrong = list((present - wanted).elements())
            raise AcceptanceFailed(
                f"{table}: {len(missing)} of {wanted.total()} rows are missing and {len(wrong)} are"
                f" wrong. Look at {module}. {_NO_HARM}\nMissing: {missing}\nWrong: {wrong}"
            )


def _short(value: object) -> str:
    return repr(value)[:500]
