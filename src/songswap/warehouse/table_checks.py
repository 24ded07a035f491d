"""Checks on the rows themselves: what each finds, and a sentence about it that names ids alone."""

from collections.abc import Sequence
from typing import NamedTuple

from songswap.warehouse.sql import statements

TIMEOUT_S = 60
"""How long a check may read: a migration that waits for it would hold up loads."""

_SQL = statements("table_checks.sql")


class Found(NamedTuple):
    """An id with wrong rows; ``rows`` and ``ids`` are how many there are in all."""

    id: str
    rows: int
    ids: int


class TableCheck(NamedTuple):
    """What a check finds: ``rows`` of ``ids``, and what to do about them."""

    rows: str
    ids: str
    to_do: str


CHECKS = {
    "future_plays": TableCheck(
        "Plays in the future",
        "users",
        "Compare the clocks of the hosts that poll, and of whatever else writes plays.",
    ),
    "double_plays": TableCheck(
        "Plays of a track within a second of another one of the same user",
        "users",
        "If Spotify did not return both, one of them was loaded twice: report it.",
    ),
    "plays_of_no_track": TableCheck(
        'Plays whose track is not in "Tracks"',
        "tracks",
        "Somebody deleted the track, or the foreign key is missing. 'songswap replay' restores it.",
    ),
    "primary_artists": TableCheck(
        "Tracks without exactly one primary artist",
        "tracks",
        'Look who else writes "ArtistTracks", and set is_primary for the first artist alone.',
    ),
    "popularity": TableCheck(
        "Popularities outside of 0 to 100",
        "tracks or artists",
        "The pipeline writes none: look who else does, and delete the rows.",
    ),
    "features": TableCheck(
        "Features outside of the platform's bounds",
        "tracks",
        "The pipeline writes none: delete the rows, and 'songswap backfill' fetches them again.",
    ),
    "tokens_of_no_user": TableCheck(
        "Tokens of no user",
        "users",
        'The foreign key to "Users" is missing. Delete the tokens.',
    ),
    "coverage": TableCheck(
        "Tracks and artists with less data than a day ago",
        "kinds",
        "If rows were deleted, 'songswap backfill' fetches them again. After a large import it"
        " rises by itself: 'songswap status' shows what waits.",
    ),
}
"""By the name of the statement and of the task."""


def statement(check: str) -> str:
    """Return the statement of a check, which returns rows of `Found`."""
    return "\n".join(_SQL[part].decode() for part in ("spans", check, "first"))


def problem(check: str, rows: Sequence[tuple[str, int, int]]) -> str | None:
    """Return what a check found, as a sentence; None where it found nothing."""
    if not rows:
        return None
    what, found = CHECKS[check], [Found(*row) for row in rows]
    more = found[0].ids - len(found)
    ids = ", ".join(each.id for each in found) + (f" and {more:,} more" if more else "")
    return f"{what.rows}: {found[0].rows:,}, of {what.ids} {ids}. {what.to_do}"
