"""Isolate bad records: one that is refused costs only itself.

parts = Bisection(records)
for part in parts:
    try:
        load(part)  # in one transaction
    except Refused as error:
        if not parts.halve(part):
            ...  # part[0] alone is refused
"""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Bisection(Generic[Item]):
    """Parts of ``items`` to try, in order: first all, then the halves of each that was refused."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._parts = [items]

    def __iter__(self) -> Iterator[Sequence[Item]]:
        while self._parts:
            yield self._parts.pop()

    def halve(self, part: Sequence[Item]) -> bool:
        """Let the halves of a refused part be tried next; false where it is a single item."""
        if len(part) < 2:
            return False
        middle = len(part) // 2
        self._parts += (part[middle:], part[:middle])
        return True
