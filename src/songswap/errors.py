"""The errors of the pipeline, as a tree. What retries, and how, is decided by the branch.

SongSwapError
├── SettingsError              a setting is missing or cannot be read: nothing was done
├── SpotifyError
│   ├── SpotifyUnavailable     no usable answer after several tries: ask again later
│   ├── RateLimited            asked to wait longer than an attempt may, by Spotify or ReccoBeats
│   │   └── HeldBack           what is left of the day's quota is kept for what is more urgent
│   ├── Unauthorized           the access token was refused (401)
│   │   └── UnusableToken      no HTTP header can carry the access token: it was not sent
│   ├── GrantRefused           the user's refresh token was refused (invalid_grant)
│   │   └── TokenLost          its successor died with a process, or never arrived
│   ├── UnexpectedFailure      of one user, and of a class that nobody foresaw
│   ├── Forbidden              not for this app or this user (403)
│   ├── UnknownToSpotify       no such id (404)
│   └── RequestRefused         any other 4xx: asking the same again will not help
├── ClockWrong                 this machine's clock differs from Spotify's: nobody else was asked
├── ReccoBeatsUnavailable      no usable answer after several tries: ask again later
├── ArchiveError               S3 did not take an answer: it stays in the spool
├── ArchiveUnreadable          S3 did not list or give answers: a replay can be started again
├── SpoolError                 the local disk did not take an answer
│   └── AnswerDamaged          the local disk did not keep an answer whole
├── WarehouseError
│   ├── WarehouseUnavailable   PostgreSQL refused or was lost: what was to be loaded is spooled
│   │   └── WarehouseBusy      others held locks for too long: says who
│   ├── WarehouseRefused       rights, a read-only server, a trigger, a full disk: no outage
│   ├── SchemaOutdated         the tables are not at the version that this code needs
│   ├── CodeOutdated           the tables are of a later version than this code
│   └── LoadIncomplete         rows were not there after their own load: rolled back
├── AlertError                 Discord did not take a message
│   └── UnknownToDiscord       no such webhook or message (404)
├── ExportRefused              a user's export is not one, or not that user's: nothing was imported
├── ConnectFailed              a user could not be connected: nothing was stored
├── Interrupted                a signal stopped the work; what was under way is stored
│   └── TimedOut               the task's time limit was over
├── CheckFailed                a service, or a setting of it, is not as it has to be
├── Yielded                    the hourly load goes first: carries when to look again
├── ProofFailed                a test DAG found something else than it expects of production's code
├── SpreadFailed               units of work had nobody left to do them; what was done stays
└── RunFailed                  a part of a run failed; says which, and where its data lies
    ├── RunPaused              nothing failed, but a pause was asked for: not all was done
    └── RunOverdue             it took so long that it gave way to the next
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
    """Spotify's answer was not the one asked for."""


class SpotifyUnavailable(SpotifyError):
    """No usable answer after several tries."""


class RateLimited(SpotifyError):
    """Spotify, or ReccoBeats, asked for a pause that is longer than an attempt may wait.

    Args:
        until: when to ask again (aware, UTC).
    """

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class HeldBack(RateLimited):
    """What is left of the day's quota is kept for what is more urgent: nobody was asked."""


class Unauthorized(SpotifyError):
    """The access token was refused."""


class UnusableToken(Unauthorized):
    """The access token holds what no HTTP header can carry; a new one has to be asked for."""


class GrantRefused(SpotifyError):
    """The user's refresh token was refused: the user has to authorize again."""


class TokenLost(GrantRefused):
    """A refresh token was refused that had been sent before without a stored answer.

    Args:
        unanswered_at: when it was sent first (aware, UTC).
    """

    def __init__(self, message: str, unanswered_at: datetime) -> None:
        super().__init__(message)
        self.unanswered_at = unanswered_at

    @classmethod
    def since(cls, unanswered_at: datetime) -> Self:
        """The error of a token that was sent at that time."""
        return cls(
            "lost in a crash, or on the way, at"
            f" {unanswered_at:%Y-%m-%d %H:%M:%S} UTC: has to authorize again",
            unanswered_at,
        )


class UnexpectedFailure(SpotifyError):
    """What was asked for one user failed in a way that nobody foresaw."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Name an error by its type alone: its text may hold a token or rows."""
        return cls(f"an unexpected {type(error).__name__}")


class CredentialsRefused(SpotifyError):
    """The app's own id and secret were refused."""


class Forbidden(SpotifyError):
    """The app, or the user, may not do this."""


class UnknownToSpotify(SpotifyError):
    """Spotify knows no such id."""


class RequestRefused(SpotifyError):
    """Spotify refused the request itself; the same request will be refused again."""


class ClockWrong(SongSwapError):
    """This machine's clock differs from the date of Spotify's answers; no others were asked."""


class ReccoBeatsUnavailable(SongSwapError):
    """No usable answer of ReccoBeats after several tries."""


class ArchiveError(SongSwapError):
    """S3 did not take an answer."""


class ArchiveUnreadable(SongSwapError):
    """S3 did not list or give answers."""


class SpoolError(SongSwapError):
    """The local disk did not take an answer."""


class AnswerDamaged(SpoolError):
    """The local disk did not keep an answer whole."""


class WarehouseError(SongSwapError):
    """The warehouse did not do what was asked."""


class WarehouseUnavailable(WarehouseError):
    """PostgreSQL refused the connection, or it was lost."""


class WarehouseBusy(WarehouseUnavailable):
    """Others held locks, or a statement went on, for longer than anybody waits."""


class WarehouseRefused(WarehouseError):
    """PostgreSQL is there and does not do it: rights, a read-only server, a trigger, its disk."""


class PlatformUnfit(WarehouseRefused):
    """The platform's tables are such that a load cannot be done, or would be wrong."""


class SchemaOutdated(WarehouseError):
    """The tables are missing or older than this code."""


class CodeOutdated(WarehouseError):
    """The tables are of a later version than this code, which would write them wrongly."""


class LoadIncomplete(WarehouseError):
    """Rows were not in the tables after their own load."""


class AlertError(SongSwapError):
    """Discord did not take a message, or did not give it back."""


class UnknownToDiscord(AlertError):
    """Discord knows no such webhook, or no such message."""


class ConnectFailed(SongSwapError):
    """A user could not be connected; says why, and what to do."""


class ExportRefused(SongSwapError):
    """A user's export cannot be imported; says why, and that nothing was."""


class Interrupted(SongSwapError):
    """A signal stopped the work; what was under way was brought to its end and stored."""


class TimedOut(Interrupted):
    """The time limit of the task was over; stopped as by a signal."""


class CheckFailed(SongSwapError):
    """A service, or a setting of it, is not as it has to be; says what to set, and where."""


class Yielded(SongSwapError):
    """The hourly load is going on, and goes first.

    Args:
        until: when to look again (aware, UTC).
    """

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class ProofFailed(SongSwapError):
    """The code that production runs did not do what a test DAG expects of it."""


class SpreadFailed(SongSwapError):
    """Units of work had nobody left to do them: a process died with one, or no worker is there."""


class RunFailed(SongSwapError):
    """A part of a run failed.

    Args:
        causes: what ended its parts: of each the name of the error, as far as it is known, and a
            sentence.
    """

    def __init__(self, message: str, causes: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.causes = tuple(causes)


class RunPaused(RunFailed):
    """Nothing failed in a run, but Spotify or ReccoBeats took no requests until a later time."""


class RunOverdue(RunFailed):
    """A run took so long that it gave way to the next."""
