"""The params of DAG runs, as people write them into Airflow's form, or programs into a ``conf``.

Airflow's form shows a schema's mismatch as the schema itself, so the schemas of the DAG files let
any text pass, and the first task of a run says what is wrong with it, before anything is done.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from songswap.errors import FIND_ID, SettingsError


def parse_users(given: Sequence[int] | str | None) -> list[int] | None:
    """Return the ids of users, from ``"12, 13"`` or a list; None if there are none.

    Raises:
        SettingsError: something else is among them.
    """
    if not isinstance(given, str):
        return list(given) if given else None
    words = given.replace(",", " ").split()
    for word in words:
        if not (word.isascii() and word.isdecimal()):
            raise SettingsError(
                f"{word!r} is not the id of a user: write the ids with commas, as 12, 13. Nothing"
                f" was done. {FIND_ID}"
            )
    return [int(word) for word in words] or None


def parse_hour(given: str | None) -> datetime | None:
    """Return an hour (UTC), or the first of a day; None if there is no text.

    Raises:
        SettingsError: it is no hour, or not a whole one.
    """
    text = (given or "").strip()
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{text!r} is not an hour: write 2026-11-22T08 (UTC), or a day, as 2026-11-22. Nothing"
            " was done."
        ) from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if at.replace(minute=0, second=0, microsecond=0) != at:
        raise SettingsError(
            f"{text!r} is not a whole hour, and the archive is in hours: write {at:%Y-%m-%dT%H}."
            " Nothing was done."
        )
    return at
