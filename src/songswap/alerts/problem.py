"""What went wrong, in one line that may be shown to people, and what they can do about it."""

import re
from typing import NamedTuple, Self

from songswap import errors
from songswap.errors import SongSwapError

MOST_CHARACTERS = 500

_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_LIKE_A_KEY = re.compile(r"(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{16,}")
_IN_AN_ADDRESS = re.compile(r"://[^\s/@]*@")

_CLEAR = "Clear the failed task when it is mended: nothing is loaded twice."

_LOOK_AT_SPOTIFY = "Look at Spotify's status page. The next run asks again."

WHAT_TO_DO = {
    "SettingsError": f"Set what is named. {_CLEAR}",
    "SpotifyError": _LOOK_AT_SPOTIFY,
    "InvalidClient": (
        "Set SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET, or the connection SongSwap_Spotify, to"
        " those of the app."
    ),
    "ClockWrong": (
        "Set the machine's clock and keep it right (chrony, systemd-timesyncd), then clear the run."
    ),
    "RateLimited": "Nothing: the first run after that time asks for the rest.",
    "InvalidGrant": (
        "Look at Spotify's status page: nobody has to authorize again yet. The next run asks again."
    ),
    "Forbidden": (
        "Look at the app in Spotify's developer dashboard: its quota, its users, its owner's"
        " Premium. The next run asks again."
    ),
    "ReccoBeatsUnavailable": (
        "Nothing yet: features wait, the next run asks again. If it lasts, check RECCOBEATS_URL and"
        " the way out to it."
    ),
    "ArchiveError": (
        "Check the bucket (variable bucket_name) and the connection SongSwap_S3_PutOnly."
        " What was not archived waits in the spool."
    ),
    "ArchiveUnreadable": (
        "Check the bucket (variable bucket_name) and the connection SongSwap_S3_ReadOnly, then"
        " clear the failed task: what was loaded stays."
    ),
    "SpoolError": (
        "Free or mend the disk of SONGSWAP_SPOOL; `songswap spool list` says what waits. The next"
        " run asks again."
    ),
    "CorruptResponse": (
        "Check the disk of SONGSWAP_SPOOL, then take the answer out with `songswap spool drop`."
    ),
    "WarehouseError": (
        "Check PostgreSQL and the connection SongSwap_RDS. The next run loads what waits."
    ),
    "WarehouseBusy": (
        "Find out what the named session does, and end it if need be:"
        " `SELECT pg_terminate_backend(pid)`. The next run loads what waits."
    ),
    "WarehouseRefused": (
        "Give the right, set the primary's host, free the disk, or look at the trigger that is"
        f" named; `songswap check postgres` says what is needed. {_CLEAR}"
    ),
    "PlatformUnfit": (
        "Have the owner of the platform's tables do what is named; `songswap check postgres` tells"
        " all. What was fetched waits in the spool, the next run loads it."
    ),
    "CodeOutdated": "Install the version of songswap that the schema is of, then clear the run.",
    "SchemaOutdated": "Run `songswap migrate`, then clear the run.",
    "LoadIncomplete": (
        "Look for a trigger or rule on the named table. It was rolled back, nothing is lost."
    ),
    "AlertError": (
        "Check the channel's webhook: connection Discord_Notifier, or the variable"
        " discord_webhook_endpoint."
    ),
    "ExportRefused": (
        "Mend or replace the named file, or have the user download the export again. Then start the"
        " import again: no run does it by itself, and what is in is not loaded twice."
    ),
    "ConnectFailed": "Start `songswap connect` again.",
    "Interrupted": (
        "Nothing, unless somebody has to end what stopped it: the next run asks for the rest, and"
        " clearing the task does it at once."
    ),
    "CheckFailed": "Set or mend what is named, then clear the task.",
    "Deferred": "Nothing: it goes on after the hourly load.",
    "AcceptanceFailed": (
        "The code or the service that the test covers does not do what production relies on."
        " Read the log before anything is deployed. No real row was touched."
    ),
    "WorkerLost": "Start it again, with more memory or more workers: what was done stays.",
    "TimedOut": (
        "Look what took so long: the task's log, PostgreSQL's locks, Spotify's status page. The"
        " next run asks for the rest."
    ),
    "RunFailed": "Mend what is named. The next run brings in what waits; clearing does it at once.",
    "RunPaused": "Nothing: the first run after that time asks for the rest.",
    "RunOverdue": (
        "Look what took so long: the log of the task that was running, PostgreSQL's locks, the"
        " machine. The next run brings in what waits."
    ),
}
"""By the name of the error; one that is not here is an error of what its base names."""

_UNKNOWN = f"Read the log. {_CLEAR}"


def advice_for(kind: str) -> str | None:
    """What an operator does about an error of the pipeline's own; None where nothing is known."""
    error = getattr(errors, kind, None)
    bases = error.__mro__ if isinstance(error, type) else ()
    return next((WHAT_TO_DO[one.__name__] for one in bases if one.__name__ in WHAT_TO_DO), None)


def cut(text: str, most: int) -> str:
    """Text of ``most`` characters at most: what does not fit is left out from a sentence's end on.

    Where not even one sentence fits, its words; without any, its characters.
    """
    if len(text) <= most:
        return text
    # Two characters say that something is left out.
    room = text[: most - 1]
    ends = [found.start() + (found[0] != "\n") for found in _SENTENCE_END.finditer(room)]
    if fitting := [end for end in ends if 0 < end <= most - 2]:
        return f"{text[: fitting[-1]]} …"
    words = room.rpartition(" ")[0].rstrip()
    return f"{words or room}…"


class Problem(NamedTuple):
    """An error: the name of its class (empty where it is not known) and its first line."""

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
        return cls(kind, cut(text, MOST_CHARACTERS))

    @property
    def what_to_do(self) -> str:
        """What an operator does about it."""
        return advice_for(self.kind) or _UNKNOWN

    @property
    def cause(self) -> str:
        """A name that another problem of the same cause has too."""
        if self.kind in ("", "RunFailed"):
            return re.sub(r"\d+", "…", self.text)
        return self.kind
