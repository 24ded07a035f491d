"""Look whether the archive has something again of users who were erased, and remove it.

What was at work when an erasure ended could have put an object after its last sweep: an import that
was under way, a copy that somebody restored. For a week that is looked after.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from songswap.clock import utc_now
from songswap.errors import ArchiveNotErased
from songswap.pipelines import erase
from songswap.settings import Settings
from songswap.storage.archive_eraser import ArchiveEraser
from songswap.warehouse import erasures
from songswap.warehouse.connection import connect
from songswap.warehouse.erasures import Erasure
from songswap.warehouse.migrate import require_schema

WATCHED = timedelta(days=7)
"""For how long after its end an erasure is looked after."""


class Returned(NamedTuple):
    """Objects of an erased user that were in S3 again, and the erasure that removes them."""

    user_id: int
    objects: int
    ended_on: date
    receipt: erase.Receipt


def remove_returned(
    settings: Settings, clock: Callable[[], datetime] = utc_now
) -> Iterator[Returned]:
    """Yield the erased users of whom S3 has something again, when it was removed.

    The erasure begins again, so that what is removed is in its receipt, and its week too.

    Raises:
        ArchiveNotErased: no key may list and delete, or S3 does not.
        WarehouseUnavailable, SchemaOutdated: what was removed until then is recorded.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        ended = erasures.ended_since(connection, clock() - WATCHED)
    if not ended:
        return
    if settings.eraser is None:
        raise ArchiveNotErased(erase.NO_KEY, ())
    eraser = ArchiveEraser(settings.eraser)
    for erasure in ended:
        if found := eraser.count(erasure.user_id).objects:
            yield from _remove(settings, erasure, found, clock)


def _remove(
    settings: Settings, erasure: Erasure, objects: int, clock: Callable[[], datetime]
) -> Iterator[Returned]:
    """Begin an erasure again; not if the user is one again meanwhile: these are new objects."""
    with connect(settings.warehouse_dsn) as connection:
        is_begun = erasures.begin_again(connection, erasure.erasure_id)
    if is_begun and erasure.ended_at:
        receipt = erase.proceed(settings, erasure.erasure_id, clock=clock)
        yield Returned(erasure.user_id, objects, erasure.ended_at.date(), receipt)
