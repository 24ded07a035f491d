"""Errors as one line that may be shown to people, and advice for operators."""

import os
import re
import traceback
from pathlib import PurePath
from typing import NamedTuple, Self

from songswap import errors
from songswap.errors import SongSwapError

MOST_CHARACTERS = 500

_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")

_CLEAR = "Clear the failed task once it is fixed: nothing is loaded twice."

_CHECK_SPOTIFY = "Look at Spotify's status page. The next run tries again."

WHAT_TO_DO = {
    "SettingsError": f"Set what is named. {_CLEAR}",
    "SpotifyError": _CHECK_SPOTIFY,
    "InvalidClient": (
        "Set SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET, or the connection SongSwap_Spotify, to"
        " those of the app."
    ),
    "ClockWrong": (
        "Set the machine's clock and keep it right (chrony, systemd-timesyncd), then clear the run."
    ),
    "RateLimited": "Nothing: the first run after that time fetches the rest.",
    "InvalidGrant": (
        "Look at Spotify's status page: nobody has to authorize again yet. The next run"
        " tries again."
    ),
    "Forbidden": (
        "Look at the app in Spotify's developer dashboard: its quota, its users, its owner's"
        " Premium. The next run tries again."
    ),
    "ReccoBeatsUnavailable": (
        "Nothing yet: features wait, the next run tries again. If it lasts, check RECCOBEATS_URL"
        " and the route to it."
    ),
    "ArchiveError": (
        "Check the bucket (variable bucket_name) and the connection SongSwap_S3_PutOnly."
        " Responses that are not archived wait in the spool."
    ),
    "ArchiveUnreadable": (
        "Check the bucket (variable bucket_name) and the connection SongSwap_S3_ReadOnly, then"
        " clear the failed task: what was loaded stays."
    ),
    "ArchiveNotErased": (
        "Check the bucket (variable bucket_name) and the connection SongSwap_S3_Erase:"
        " `songswap check s3`. The erasure goes on where it stopped."
    ),
    "SpoolError": (
        "Free or repair the disk of SONGSWAP_SPOOL; `songswap spool list` shows what waits. The"
        " next run tries again."
    ),
    "CorruptResponse": (
        "Check the disk of SONGSWAP_SPOOL, then remove the response with `songswap spool drop`."
    ),
    "WarehouseError": (
        "Check PostgreSQL and the connection SongSwap_RDS. The next run loads what waits."
    ),
    "WarehouseBusy": (
        "Find out what the named session does, and end it if need be:"
        " `SELECT pg_terminate_backend(pid)`. The next run loads what waits."
    ),
    "WarehouseRefused": (
        "Grant the right, set the primary's host, free the disk, or look at the named trigger;"
        f" `songswap check postgres` says what is needed. {_CLEAR}"
    ),
    "PlatformUnfit": (
        "Have the owner of the platform's tables do what is named; `songswap check postgres` lists"
        " all of it. What was fetched waits in the spool, the next run loads it."
    ),
    "CodeOutdated": "Install the songswap version that the schema belongs to, then clear the run.",
    "SchemaOutdated": "Run `songswap migrate`, then clear the run.",
    "LoadIncomplete": (
        "Look for a trigger or rule on the named table. The load was rolled back, nothing is lost."
    ),
    "AlertError": (
        "Check the channel's webhook: connection Discord_Notifier, or the variable"
        " discord_webhook_endpoint."
    ),
    "EraseRefused": (
        "Look the user's id up: `songswap grants --state active`. Nothing was removed."
    ),
    "ErasureOutdated": "If the user still has to be erased, start `erase_users` again.",
    "ExportRefused": (
        "Repair or replace the named file, or have the user download the export again. Then start"
        " the import again: no run does it by itself, and nothing is loaded twice."
    ),
    "HandOverFailed": "Start `songswap export` again; nothing was written.",
    "ConnectFailed": "Start `songswap connect` again.",
    "Interrupted": (
        "Nothing, unless what stopped it goes on: the next run fetches the rest; clearing the task"
        " does it at once."
    ),
    "CheckFailed": "Set or fix what is named, then clear the task.",
    "TablesWrong": (
        "Look at the rows that it names by their ids: docs/operations.md has the statements, under"
        " 'A red check of the tables'. Loads go on meanwhile. Clear the task once they are right."
    ),
    "Deferred": "Nothing: it continues after the hourly load.",
    "AcceptanceFailed": (
        "Production relies on the code or service that failed this test. Read the log before you"
        " deploy anything. No real row was touched."
    ),
    "WorkerLost": "Start it again, with more memory or more workers: finished work stays.",
    "TimedOut": (
        "Find out what took so long: the task's log, PostgreSQL's locks, Spotify's status page. The"
        " next run fetches the rest."
    ),
    "RunFailed": "Fix what is named. The next run loads what waits; clearing does it at once.",
    "RunPaused": "Nothing: the first run after that time fetches the rest.",
    "RunOverdue": (
        "Find out what took so long: the log of the task that was running, PostgreSQL's locks, the"
        " machine. The next run loads what waits."
    ),
    "RunNeverBegan": (
        "Create the pool that is named, or give it slots (in Airflow: Admin, Pools); if it has"
        " free slots, find out what uses all of Airflow's. The next run does what this one left."
    ),
}
"""By the name of the error; an error without an entry has that of its base class."""

_UNKNOWN = f"Read the log. {_CLEAR}"


def advice_for(kind: str) -> str | None:
    """Return what an operator does about an error; None for an error of other code."""
    error = getattr(errors, kind, None)
    bases = error.__mro__ if isinstance(error, type) else ()
    names = (base.__name__ for base in bases)
    return next((WHAT_TO_DO[name] for name in names if name in WHAT_TO_DO), None)


def cut(text: str, most: int) -> str:
    """Cut text to ``most`` characters: after a sentence, else after a word, else anywhere."""
    if len(text) <= most:
        return text
    # Two characters mark the cut.
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
        """Describe an error.

        The pipeline's own errors are sentences for operators. Those of other code may hold rows,
        names or secrets in any form: of these only the class is told, and where it was raised.
        """
        if isinstance(error, SongSwapError):
            text = (str(error).strip().splitlines() or [""])[0]
        else:
            text = f"{type(error).__name__}{_reason_of_system(error)}{_place(error)}"
        return cls(type(error).__name__, cut(text, MOST_CHARACTERS))

    @property
    def what_to_do(self) -> str:
        """What an operator does about it."""
        return advice_for(self.kind) or _UNKNOWN

    @property
    def cause(self) -> str:
        """A name that is the same for every problem of this cause."""
        if self.kind in ("", "RunFailed"):
            return re.sub(r"\d+", "…", self.text)
        return self.kind


def _reason_of_system(error: BaseException) -> str:
    """Return the system's reason of an error, such as a full disk; it names no file."""
    number = error.errno if isinstance(error, OSError) else None
    return f" ({os.strerror(number)})" if isinstance(number, int) else ""


def _place(error: BaseException) -> str:
    """Return the last line of the pipeline that an error came through, or of any other code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "songswap" in PurePath(frame.filename).parts]
    for frame in [*frames, *own][-1:]:
        return f" in {PurePath(frame.filename).name}, line {frame.lineno}"
    return ""
