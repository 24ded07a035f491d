"""Answers → rows, in one process: what decoding and transforming costs; and what packing does."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import previous
from benchmarks.figure import Figure, bound, cost, cpu_seconds, medians, speed
from benchmarks.pages import FULL, NOW, Page, pages
from benchmarks.size import size
from songswap.pipelines.load import transformed
from songswap.storage.records import RawResponse, pack

_USERS = size(500, 10)
_ROUNDS = size(7, 1)


class _Unpacked(RawResponse):
    """An answer whose body is there as it came: unpacking is no part of this."""

    @property
    def body(self) -> bytes:
        """The body as it came."""
        return self.packed


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Ours against the previous way, in processor time of one core."""
    told("making pages")
    answers = pages(_USERS)
    kept = [_Unpacked(page.user_id, "", NOW, page.body) for page in answers]
    told(f"{_ROUNDS} rounds of {_USERS * FULL:,} plays")
    ours, theirs = medians(
        _ROUNDS,
        lambda: cpu_seconds(lambda: _ours(kept)),
        lambda: cpu_seconds(lambda: _theirs(answers)),
    )
    yield speed("decode and transform, against the previous way", ours, theirs, least=12)
    rate = _USERS * FULL / ours
    yield bound("the same, on one core", rate, "plays/s", least=80_000)
    told("packing")
    bodies = [page.body for page in answers]
    ours, theirs = medians(
        _ROUNDS,
        lambda: cpu_seconds(lambda: [pack(body) for body in bodies]),
        lambda: cpu_seconds(lambda: [_zlib(body) for body in bodies]),
    )
    yield speed("packing the answers, against zlib", ours, theirs)
    sizes = (sum(len(packed(body)) for body in bodies) for packed in (pack, _zlib))
    yield cost("their bytes when packed", *(size / 1e6 for size in sizes), "MB")


def _zlib(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6)


def _ours(answers: list[RawResponse]) -> list[object]:
    return [*transformed(answers, NOW)]


def _theirs(answers: list[Page]) -> list[previous.Rows]:
    """As one task after the other: all are decoded, then all are transformed."""
    decoded = [(page.user_id, json.loads(page.body)) for page in answers]
    return [previous.rows(told, user_id, NOW) for user_id, told in decoded]
