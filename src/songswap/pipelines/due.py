"""Who has to be erased, and by which day: whose grant was revoked, or who is gone from ``"Users"``.

    songswap.grants ─┐
    "Users", S3 ─────┴▶ `refresh` ──▶ songswap.disconnects ──▶ `Due`, `Refreshed.to_erase`

A revoked grant counts once Spotify has refused it for good (docs/adr/0008). No disconnect is a
grant that ended by its age, a token that was lost on our side, or a user whom the app may not poll
(403): these users have withdrawn nothing. The archive is the memory of who was there.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from songswap.settings import Settings
from songswap.storage.archive_eraser import ArchiveEraser
from songswap.storage.archive_reader import ArchiveReader
from songswap.warehouse import disconnects
from songswap.warehouse.connection import connect
from songswap.warehouse.disconnects import GONE, REVOKED
from songswap.warehouse.disconnects import Due as Due
from songswap.warehouse.migrate import require_schema

_FEW = 3
"""So many users may be due for a reason in any archive before a human has to look."""

_SHARES = {GONE: 100, REVOKED: 10}
"""One in so many of the archive's users may be due for a reason."""

MOST_A_DAY = 1_000
"""Users whom a run erases by itself: Airflow maps a task to no more than 1,024."""

_MOST_ID = 2**31 - 1


class Refreshed(NamedTuple):
    """The list as a refresh found it, the first to be erased first.

    ``archived`` is how many users the archive has; None where no key may list it: users who are
    gone were not looked for then.
    """

    users: Sequence[Due]
    archived: int | None

    @property
    def held_back(self) -> Mapping[str, Sequence[Due]]:
        """Those of whom there are so many, by reason, that a human has to look.

        ``"Users"`` itself may be wrong, or what Spotify says of all grants.
        """
        of = {reason: [user for user in self.users if user.reason == reason] for reason in _SHARES}
        return {
            reason: users
            for reason, users in of.items()
            if len(users) > max(_FEW, (self.archived or 0) / _SHARES[reason])
        }

    def to_erase(self, now: datetime, told: Collection[int]) -> list[Due]:
        """Return whom a run erases now: the first of `due_now`.

        Args:
            told: users of whom engineers were told before today. Of others nobody could say no.
        """
        return [user for user in self.due_now(now) if user.user_id in told][:MOST_A_DAY]

    def due_now(self, now: datetime) -> list[Due]:
        """Return whom a program may erase now: those whose day has come, unless held back."""
        untrusted = {*self.held_back, *([GONE] if self.archived is None else [])}
        return [user for user in self.users if user.is_due(now) and user.reason not in untrusted]


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
