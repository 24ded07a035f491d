"""Sentences about users who have to be erased, for engineers: by id alone."""

from collections.abc import Sequence
from datetime import date

_MOST_NAMED = 20


def due_soon(users: Sequence[int], day: date, *, by_itself: bool) -> str:
    """Return a sentence about users who have to be erased by a day.

    Args:
        by_itself: whether the pipeline erases them on the next day.
    """
    what = (
        "`erase_due_users` erases them tomorrow"
        if by_itself
        else "`songswap erase USER` does it, or the DAG erase_users; SONGSWAP_ERASE_DUE=1 has it"
        " done by itself"
    )
    return (
        f"{_named(users)} disconnected, and {_has(users)} to be erased by {day}: {what}. Whoever"
        " authorizes again before is off the list. `songswap erase --due` shows all. This is said"
        " once for each user."
    )


def due_now(users: Sequence[int]) -> str:
    """Return a sentence about users whose day has come, and whom nothing erases by itself."""
    return (
        f"{_named(users)} {_has(users)} to be erased today, or should have been before, and"
        " nobody does it by itself: start the DAG erase_users with these ids, or run `songswap"
        " erase USER` for each. SONGSWAP_ERASE_DUE=1 has it done each day. This is said once for"
        " each user."
    )


def rows_are_back(users: Sequence[int]) -> str:
    """Return a sentence about erased users of whom rows are there again."""
    return (
        f'{_named(users)} {_has(users)} rows in "Users" again after all was erased, as from a'
        " backup that was restored. Nothing of them is polled or loaded. Run `songswap erase USER`"
        " for each to remove the rows. Who comes back signs up anew, and gets another id. This is"
        " said once for each user."
    )


def too_many_gone(gone: int, archived: int) -> str:
    """Return a sentence about so many users gone that the table of users may be wrong.

    Args:
        archived: how many users the archive has.
    """
    return (
        f'{gone:,} of the {archived:,} users in the archive are gone from "Users" at once. That can'
        " be a table that was emptied, or restored wrongly, so none of them is erased by itself: a"
        " human has to look. Check that SongSwap_RDS leads to the right database. If the table is"
        " wrong, restore it: they are off the list then. If they did leave, start the DAG"
        " erase_users with their ids, which `songswap erase --due` shows. This is said once a day."
    )


def too_many_revoked(revoked: int) -> str:
    """Return a sentence about so many revoked grants that the app itself may be the reason."""
    return (
        f"Spotify has refused the grants of {revoked:,} users for good. Of so many that can be the"
        " app's own trouble, so none of them is erased by itself: a human has to look. Check the"
        " app in Spotify's dashboard, and the client of SongSwap_Spotify. Users who authorize again"
        " are off the list. If they did leave, start the DAG erase_users with their ids, which"
        " `songswap erase --due` shows. This is said once a day."
    )


def more_than_a_run(users: int, most: int) -> str:
    """Return a sentence about more users whose day has come than a run erases."""
    return (
        f"{users:,} users have to be erased by now. A run of `erase_due_users` erases {most:,}, the"
        " first to be erased first; the runs of the next days erase the others. To be sooner, start"
        " it by hand when it has ended."
    )


def came_back(user_id: int, objects: int, day: date) -> str:
    """Return a sentence about objects of an erased user that were found in S3, and deleted.

    Args:
        day: when the erasure had ended (UTC).
    """
    was = "object of user {} was" if objects == 1 else "objects of user {} were"
    return (
        f"{objects:,} {was.format(user_id)} in S3 again, whose erasure had ended on {day}:"
        " something that was at work then put that there. It is deleted, and counted in the"
        " receipt. If this comes again, something still puts objects: find the run that does."
    )


def _named(users: Sequence[int]) -> str:
    if len(users) == 1:
        return f"User {users[0]}"
    if len(users) > _MOST_NAMED:
        first = ", ".join(map(str, users[:_MOST_NAMED]))
        return f"Users {first} and {len(users) - _MOST_NAMED:,} more"
    return f"Users {', '.join(map(str, users[:-1]))} and {users[-1]}"


def _has(users: Sequence[int]) -> str:
    return "has" if len(users) == 1 else "have"
