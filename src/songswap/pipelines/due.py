"""Who has to be erased, and by which day: whose grant was revoked, or who is gone from ``"Users"``.

    songswap.grants ─┐
    "Users", S3 ─────┴▶ `refresh` ──▶ songswap.disconnects ──▶ `Due`, `Refreshed.to_erase`

A revoked grant counts once Spotify has refused it for good (docs/adr/0008). No disconnect is a
grant that ended by its age, a token that was lost on our side, or a user whom the app may not poll
(403): these users have withdrawn nothing. The archive is the memory of who was there.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from songswap.settings import Settings
from songswap.storage.archive_eraser import ArchiveEraser
from songswap.storage.archive_reader import ArchiveReader
from songswap.warehouse import disconnects
from songswap.warehouse.connection import connect
from songswap.warehouse.disconnects import GONE
from songswap.warehouse.disconnects import Due as Due
from songswap.warehouse.migrate import require_schema

_FEW = 3
"""So many users may be gone in any archive before a human has to look."""

_SHARE = 100
"""One in so many of the archive's users may be gone."""

_MOST_ID = 2**31 - 1


class Refreshed(NamedTuple):
    """The list as a refresh found it, the first to be erased first.

    ``archived`` is how many users the archive has; None where no key may list it: users who are
    gone were not looked for then.
    """

    users: Sequence[Due]
    archived: int | None

    @property
    def gone(self) -> list[Due]:
        """Those who are gone from ``"Users"``."""
        return [user for user in self.users if user.reason == GONE]

    @property
    def is_held_back(self) -> bool:
        """Whether so many are gone that ``"Users"`` itself may be wrong: a human has to look."""
        return len(self.gone) > max(_FEW, (self.archived or 0) / _SHARE)

    def to_erase(self, now: datetime) -> list[Due]:
        """Return whom a program may erase now: those whose day has come, unless held back."""
        trusted = self.archived is not None and not self.is_held_back
        return [
            user
            for user in self.users
            if user.days_left(now) <= 0 and (trusted or user.reason != GONE)
        ]


def refresh(settings: Settings, now: datetime) -> Refreshed:
    """Find who has to be erased, and record it; who authorized again is off the list.

    Raises:
        ArchiveUnreadable: S3 does not list the archive; nothing was changed.
        WarehouseUnavailable, SchemaOutdated: nothing was changed.
    """
    # Listed first: whoever signs up meanwhile is in "Users" when that is compared.
    archived = _archived_users(settings)
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        disconnects.refresh(connection, archived, settings.erase_after, now)
        users = disconnects.find(connection)
    return Refreshed(users, None if archived is None else len(archived))


def not_ahead(settings: Settings, now: datetime) -> datetime:
    """Return the time by which to erase: by the warehouse's clock where ours is ahead."""
    with connect(settings.warehouse_dsn) as connection:
        return disconnects.not_ahead(connection, now)


def _archived_users(settings: Settings) -> list[int] | None:
    if settings.library:
        users = ArchiveReader(settings.library).users()
    elif settings.eraser:
        users = ArchiveEraser(settings.eraser).users()
    else:
        return None
    return [user for user in users if 0 < user <= _MOST_ID]
