"""Run a method of the spool as one transaction of its file."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from songswap.storage.spool_file import SpoolFile


class _HasFile(Protocol):
    file: SpoolFile


P = ParamSpec("P")
S = TypeVar("S", bound=_HasFile)
T = TypeVar("T")


def _transaction(
    begin: str,
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @wraps(method)
        def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return self.file.run(lambda: method(self, *args, **kwargs), begin)

        return run

    return decorate


reads = _transaction("BEGIN")
"""Decorate a method that reads: it runs in a transaction, on a file that is in order."""

writes = _transaction("BEGIN IMMEDIATE")
"""Decorate a method that writes all or nothing; it runs again if the file is replaced meanwhile."""
