"""Responses → rows in one process: the CPU time of decoding and transforming, and of gzip."""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import row_by_row
from benchmarks.measurement import (
    Measurement,
    OnProgress,
    cost,
    cpu_seconds,
    medians,
    speedup,
    value,
)
from benchmarks.pages import FULL, NOW, Page, pages
from benchmarks.size import size
from songswap.parallel.gc_pause import gc_paused
from songswap.pipelines.load import transformed
from songswap.storage.records import RawResponse, pack
from songswap.transform import recent_plays

_USERS = size(500, 10)
_ROUNDS = size(7, 1)


class _Uncompressed(RawResponse):
    """A response whose body is stored as it came: decompressing is measured elsewhere."""

    @property
    def body(self) -> bytes:
        """The body as it came."""
        return self.packed


def _spooled(page: Page) -> RawResponse:
    """Return a response as the spool has it: its fingerprint was computed when it was polled."""
    fingerprint = recent_plays.fingerprint(page.body)
    return _Uncompressed(page.user_id, "", NOW, page.body, fingerprint, page.user_id)


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare ours with the row-by-row reference, in CPU time of one core."""
    on_progress("making pages")
    all_pages = pages(_USERS)
    responses: list[RawResponse] = [_spooled(page) for page in all_pages]
    on_progress(f"{_ROUNDS} rounds of {_USERS * FULL:,} plays")
    ours, theirs = medians(
        _ROUNDS,
        lambda: cpu_seconds(lambda: _ours(responses)),
        lambda: cpu_seconds(lambda: _theirs(all_pages)),
    )
    yield speedup(
        "decode and transform, against the row-by-row reference", ours, theirs, at_least=12
    )
    rate = _USERS * FULL / ours
    yield value("the same, on one core", rate, "plays/s", at_least=80_000)
    on_progress("compressing")
    bodies = [page.body for page in all_pages]
    ours, theirs = medians(
        _ROUNDS,
        lambda: cpu_seconds(lambda: [pack(body) for body in bodies]),
        lambda: cpu_seconds(lambda: [_zlib(body) for body in bodies]),
    )
    yield speedup("compressing the responses, against zlib", ours, theirs)
    ours_mb, theirs_mb = (
        sum(len(compress(body)) for body in bodies) / 1e6 for compress in (pack, _zlib)
    )
    yield cost("their compressed size", ours_mb, theirs_mb, "MB")


@gc_paused()
def _ours(responses: Sequence[RawResponse]) -> None:
    """Transform all; as in a load, the pause of the collector outlives the rows."""
    transformed(responses, NOW)


def _zlib(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6)


def _theirs(all_pages: Sequence[Page]) -> list[row_by_row.Rows]:
    """One task after the other: decode all, then transform all."""
    decoded = [(page.user_id, json.loads(page.body)) for page in all_pages]
    return [row_by_row.rows(response, user_id, NOW) for user_id, response in decoded]
