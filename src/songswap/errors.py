"""The errors of the pipeline, as a tree. The branch decides what is retried, and how.

SongSwapError
├── SettingsError              a setting is missing or unreadable: nothing was done
├── SpotifyError
│   ├── SpotifyUnavailable     no usable response after several tries: try again later
│   ├── RateLimited            Spotify or ReccoBeats demands a longer wait than an attempt may take
│   │   └── QuotaReserved      the rest of the day's quota is reserved for what is more urgent
│   ├── Unauthorized           the access token was refused (401)
│   │   └── UnusableToken      no HTTP header can carry the access token: it was not sent
│   ├── InvalidGrant           the user's refresh token was refused (invalid_grant)
│   │   └── TokenLost          its successor was lost in a crash, or never arrived
│   ├── InvalidClient          the app's own id and secret were refused (invalid_client)
│   ├── UnexpectedFailure      of one user, and of a class that nobody foresaw
│   ├── Forbidden              not for this app or this user (403)
│   ├── UnknownToSpotify       no such id (404)
│   └── RequestRefused         any other 4xx: the same request will fail again
├── ClockWrong                 this machine's clock differs from Spotify's: polling stopped
├── ReccoBeatsUnavailable      no usable response after several tries: try again later
├── ArchiveError               S3 did not store a response: it stays in the spool
├── ArchiveUnreadable          S3 did not list or return objects: a replay can be started again
├── ArchiveNotErased           S3 has objects of a user left: start the erasure again
├── SpoolError                 the local disk did not store a response
│   └── CorruptResponse        the local disk did not return a response whole
├── WarehouseError
│   ├── WarehouseUnavailable   PostgreSQL refused or dropped the connection: rows stay spooled
│   │   └── WarehouseBusy      others held locks for too long: names them
│   ├── WarehouseRefused       rights, a read-only server, a trigger, a full disk: no outage
│   │   └── PlatformUnfit      the platform's tables do not allow a correct load
│   ├── SchemaOutdated         the tables are older than this code needs
│   ├── CodeOutdated           the tables are newer than this code
│   └── LoadIncomplete         rows were missing after their own load: rolled back
├── AlertError                 Discord did not accept a message
│   └── UnknownToDiscord       no such webhook or message (404)
├── EraseRefused               there is nothing of this user to erase: nothing was done
│   └── ErasureOutdated        what it was decided on holds no more: nothing was done
├── ExportRefused              not an export, or another user's: nothing was imported
├── HandOverFailed             a user's data was not handed over: no file was left
├── ConnectFailed              a user could not be connected: nothing was stored
├── Interrupted                a signal stopped the work; what was in progress is stored
│   └── TimedOut               the task's time limit was reached
├── CheckFailed                a service, or a setting of it, is not as required
├── Deferred                   the hourly load has priority: carries when to try again
├── AcceptanceFailed           a test DAG found that production's code does something else
├── WorkerLost                 no worker is left for some units of work; finished ones stay
└── RunFailed                  a part of a run failed: says which, and where its data is
    ├── RunPaused              nothing failed, but a pause was demanded: not all was done
    └── RunOverdue             it took longer than it may, and was ended
        └── RunNeverBegan      because its tasks waited for a slot all that time
"""

import copyreg
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

FIND_ID = (
    "'songswap grants --state active' shows the ids, and so does, in the warehouse, SELECT id,"
    ' username, spotify_id FROM "Users".'
)
"""Where an operator finds the id of a user."""


class SongSwapError(Exception):
    """Anything that the pipeline itself raises; its text is a sentence for the operator."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Between processes too, whatever the arguments of a branch are: none is made a second time.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class SettingsError(SongSwapError):
    """A setting is missing or cannot be read."""


class SpotifyError(SongSwapError):
    """Spotify did not return what was requested."""


class SpotifyUnavailable(SpotifyError):
    """No usable response after several tries."""


class RateLimited(SpotifyError):
    """Spotify, or ReccoBeats, demanded a longer pause than an attempt may wait.

    Args:
        until: when to try again (aware, UTC).
        is_quota: the quota of a day is spent, which is that of all requests of the app.
    """

    def __init__(self, message: str, until: datetime, is_quota: bool = False) -> None:
        super().__init__(message)
        self.until = until
        self.is_quota = is_quota


class QuotaReserved(RateLimited):
    """The rest of the day's quota is reserved for what is more urgent: nothing was sent."""


class Unauthorized(SpotifyError):
    """The access token was refused."""


class UnusableToken(Unauthorized):
    """No HTTP header can carry the access token: a new one has to be requested."""


class InvalidGrant(SpotifyError):
    """The user's refresh token was refused: the user has to authorize again."""


class TokenLost(InvalidGrant):
    """A refused refresh token had been sent before, and no response to that was stored.

    Args:
        unanswered_at: when it was first sent (aware, UTC).
    """

    def __init__(self, message: str, unanswered_at: datetime) -> None:
        super().__init__(message)
        self.unanswered_at = unanswered_at

    @classmethod
    def since(cls, unanswered_at: datetime) -> Self:
        """Make the error of a token that was first sent at that time."""
        return cls(
            "lost in a crash, or on the way, at"
            f" {unanswered_at:%Y-%m-%d %H:%M:%S} UTC: has to authorize again",
            unanswered_at,
        )


class UnexpectedFailure(SpotifyError):
    """A request for one user failed in a way that nobody foresaw."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Make one that names the error's type alone: its text may hold a token or rows."""
        return cls(f"an unexpected {type(error).__name__}")


class InvalidClient(SpotifyError):
    """The app's own id and secret were refused."""


class Forbidden(SpotifyError):
    """The app, or the user, may not do this."""


class UnknownToSpotify(SpotifyError):
    """Spotify has no such id."""


class RequestRefused(SpotifyError):
    """Spotify refused the request itself; the same request will fail again."""


class ClockWrong(SongSwapError):
    """This machine's clock differs from the date of Spotify's responses: polling stopped."""


class ReccoBeatsUnavailable(SongSwapError):
    """No usable response from ReccoBeats after several tries."""


class ArchiveError(SongSwapError):
    """S3 did not store a response."""


class ArchiveUnreadable(SongSwapError):
    """S3 did not list or return objects."""


class ArchiveNotErased(SongSwapError):
    """S3 has, or may have, objects of a user left.

    Args:
        removed: what was removed before that (`songswap.storage.archive_eraser.Removed`).
    """

    def __init__(self, message: str, removed: tuple[int, ...]) -> None:
        super().__init__(message)
        self.removed = removed


class SpoolError(SongSwapError):
    """The local disk did not store a response."""


class CorruptResponse(SpoolError):
    """The local disk did not return a response whole."""


class WarehouseError(SongSwapError):
    """The warehouse did not do what was requested."""


class WarehouseUnavailable(WarehouseError):
    """PostgreSQL refused the connection, or it was lost."""


class WarehouseBusy(WarehouseUnavailable):
    """Others held locks, or a statement ran, for longer than the limit."""


class WarehouseRefused(WarehouseError):
    """PostgreSQL runs but refuses: rights, a read-only server, a trigger, its disk."""


class PlatformUnfit(WarehouseRefused):
    """The platform's tables do not allow a correct load."""


class SchemaOutdated(WarehouseError):
    """The tables are missing or older than this code."""


class CodeOutdated(WarehouseError):
    """The tables are newer than this code, which would write them wrongly."""


class LoadIncomplete(WarehouseError):
    """Rows were missing from the tables after their own load."""


class AlertError(SongSwapError):
    """Discord did not accept a message, or did not return it."""


class UnknownToDiscord(AlertError):
    """Discord has no such webhook or message."""


class ConnectFailed(SongSwapError):
    """A user could not be connected; says why, and what to do."""


class EraseRefused(SongSwapError):
    """A user cannot be erased; says why, and that nothing was."""


class ErasureOutdated(EraseRefused):
    """What the erasure of a user was decided on holds no more; says why."""


class ExportRefused(SongSwapError):
    """A user's export cannot be imported; says why, and that nothing was."""


class HandOverFailed(SongSwapError):
    """A user's data cannot be handed over; says why, and that no file was left."""


class Interrupted(SongSwapError):
    """A signal stopped the work; what was in progress was finished and stored."""


class TimedOut(Interrupted):
    """The task's time limit was reached; stopped as by a signal."""


class CheckFailed(SongSwapError):
    """A service, or a setting of it, is not as required; says what to set, and where."""


class TablesWrong(CheckFailed):
    """Rows in the warehouse cannot be right; names them by their ids, and says what to do."""


class Deferred(SongSwapError):
    """An hourly load is running, and has priority.

    Args:
        until: when to try again (aware, UTC).
    """

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class AcceptanceFailed(SongSwapError):
    """Production's code did not do what a test DAG expects."""


class WorkerLost(SongSwapError):
    """No worker is left for some units of work: a process died with one, or none ever came."""


class RunFailed(SongSwapError):
    """A part of a run failed.

    Args:
        causes: what ended its parts: each the name of the error, where known, and a sentence.
    """

    def __init__(self, message: str, causes: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.causes = tuple(causes)


class RunPaused(RunFailed):
    """Nothing failed in a run, but Spotify or ReccoBeats demanded a pause."""


class RunOverdue(RunFailed):
    """A run took longer than it may, and was ended."""


class RunNeverBegan(RunOverdue):
    """A run was ended while none of its tasks was at work: they waited for a slot."""
