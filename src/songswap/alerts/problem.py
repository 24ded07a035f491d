"""What went wrong, in one line that may be shown to people, and what they can do about it."""

import re
from typing import NamedTuple, Self

from songswap.errors import SongSwapError

MOST_CHARACTERS = 300

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_LIKE_A_KEY = re.compile(r"(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{16,}")
_IN_AN_ADDRESS = re.compile(r"://[^\s/@]*@")

_CLEAR = "Clear the failed task when it is mended: nothing is loaded twice."

WHAT_TO_DO = {
    "WarehouseUnavailable": (
        "Check PostgreSQL and the connection SongSwap_RDS. The next run loads what waits."
    ),
    "SchemaOutdated": "Run `songswap migrate`, then clear the run.",
    "LoadIncomplete": (
        "Look for a trigger or rule on the named table. It was rolled back, nothing is lost."
    ),
    "SettingsError": f"Set what is named. {_CLEAR}",
    "CredentialsRefused": "Set SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET to those of the app.",
    "ClockWrong": (
        "Set the machine's clock and keep it right (chrony, systemd-timesyncd), then clear the run."
    ),
    "RateLimited": "Nothing: the first run after that time asks for the rest.",
    "SpotifyUnavailable": "Look at Spotify's status page. The next run asks again.",
    "SpoolError": (
        "Free or mend the disk of SONGSWAP_SPOOL; `songswap spool list` says what waits. The next"
        " run asks again."
    ),
    "ArchiveError": (
        "Check the bucket (variable bucket_name) and the connection SongSwap_S3_PutOnly."
        " What was not archived waits in the spool."
    ),
    "ArchiveUnreadable": (
        "Check the bucket (variable bucket_name) and the connection SongSwap_S3_ReadOnly, then"
        " clear the failed task: what was loaded stays."
    ),
    "RunFailed": "Mend what is named. The next run brings in what waits; clearing does it at once.",
    "CheckFailed": "Set or mend what is named, then clear the task.",
    "ProofFailed": (
        "The code or the service that the test covers does not do what production relies on."
        " Read the log before anything is deployed. No real row was touched."
    ),
}
"""By the name of the error."""

_UNKNOWN = f"Read the log. {_CLEAR}"


class Problem(NamedTuple):
    """An error: the name of its class and its first line."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """The problem that an error tells of.

        The pipeline's own errors are sentences for operators. What other code says may quote rows
        or secrets: what is quoted, and what looks like a key, is left out.
        """
        kind = type(error).__name__
        text = (str(error).strip().splitlines() or [""])[0]
        if not isinstance(error, SongSwapError):
            text = _IN_AN_ADDRESS.sub("://…@", _LIKE_A_KEY.sub("…", _QUOTED.sub("…", text)))
            text = f"{kind}: {text}" if text else kind
        return cls(kind, text[:MOST_CHARACTERS])

    @property
    def what_to_do(self) -> str:
        """What an operator does about it."""
        return WHAT_TO_DO.get(self.kind, _UNKNOWN)
