"""Answers → rows, in one process: what decoding and transforming costs."""

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import previous
from benchmarks.figure import Figure, bound, cpu_seconds, medians, speed
from benchmarks.pages import FULL, NOW, Page, pages
from songswap.models import Catalogue
from songswap.transform import history

_USERS = 500
_ROUNDS = 7


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Ours against the previous way, in processor time of one core."""
    told("making pages")
    answers = pages(_USERS)
    told(f"{_ROUNDS} rounds of {_USERS * FULL:,} plays")
    ours, theirs = medians(
        _ROUNDS,
        lambda: cpu_seconds(lambda: _ours(answers)),
        lambda: cpu_seconds(lambda: _theirs(answers)),
    )
    yield speed("decode and transform, against the previous way", ours, theirs, least=12)
    rate = _USERS * FULL / ours
    yield bound("the same, on one core", rate, "plays/s", least=80_000)


def _ours(answers: list[Page]) -> None:
    catalogue = Catalogue()
    for page in answers:
        history.transform(page.body, page.user_id, NOW, catalogue)


def _theirs(answers: list[Page]) -> None:
    for page in answers:
        previous.transform(page.body, page.user_id, NOW)
