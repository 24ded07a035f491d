"""Erase users in this host's spool, before anything is stored from it.

    erasure ──▶ spool: rows deleted ──▶ who is at work here? ──▶ nobody of the first time: confirmed
                                                            └──▶ the next drain deletes once more

A process that is at work when its host sees an erasure first may have loaded the user's token, or
have a response in its memory, and spool or archive it yet. One that comes later has neither:
whoever is erased is not polled any more, and each drain begins here.

Rows are deleted first, then that is recorded. A kill in between costs nothing: the next drain finds
no rows, and the counts in the spool.
"""

import logging
from collections.abc import Collection, Sequence

import psycopg

from songswap.errors import SpoolError
from songswap.storage.spool import Spool
from songswap.storage.spool_erasure import SpoolErasure
from songswap.warehouse import spool_erasures, tokens
from songswap.warehouse.error_translation import translate
from songswap.warehouse.spool_erasures import Deleted, Unconfirmed

log = logging.getLogger(__name__)

_LARGEST = 512 * 2**20
"""Bytes of responses in a spool up to which its file is rewritten: some seconds, in which nobody
else writes. Others give up after a minute, and slow disks take ten times as long."""

_LARGEST_IN_ALL = 4 * _LARGEST
"""The same with rotated tokens, which never get less where there are many users."""

_HELD_UP = (
    "The rows of erased users are deleted in the spool, but not their traces in its file: other"
    " processes are reading it. The next drain tries again."
)


def fulfil(connection: psycopg.Connection, spool: Spool, host: str, me: int) -> None:
    """Delete the users whose erasure this spool has not confirmed; confirm what is complete.

    It costs one query where there are none.

    Args:
        me: the number of the caller, see `Spool.working`, who has nothing of the spool yet.

    Raises:
        SpoolError: nothing was deleted.
        psycopg.Error: nothing is recorded; the next drain does it.
    """
    erasures = spool_erasures.unconfirmed(connection, spool.id)
    if not erasures:
        return
    # Before they are deleted: whoever has ended by now has spooled all of it.
    at_work = {work.holder for work in spool.at_work()} - {me}
    unkept = _keep_sign_ins(connection, spool, erasures)
    removed = spool.erase(
        [
            SpoolErasure(each.erasure_id, each.user_id, each.renewed_at, each.user_id in unkept)
            for each in erasures
        ]
    )
    waiting = {
        each.erasure_id
        for each in erasures
        if not each.is_new and (each.at_work or at_work) & at_work
    }
    if waiting:
        log.info(
            "%d erasures of users wait for processes at work on this host: %s.",
            len(waiting),
            ", ".join(f"{holder:016x}" for holder in sorted(at_work)),
        )
    problem = _problem(spool, confirms=len(waiting) < len(erasures))
    if problem:
        log.warning("%s", problem)
    deleted = []
    for each in erasures:
        why = unkept.get(each.user_id, problem)
        confirms = each.erasure_id not in waiting and why is None
        deleted.append(Deleted(each.erasure_id, removed[each.erasure_id], confirms, why))
    spool_erasures.record(connection, spool.id, host, at_work, deleted)


def _keep_sign_ins(
    connection: psycopg.Connection, spool: Spool, erasures: Sequence[Unconfirmed]
) -> dict[int, str]:
    """Save the new tokens of users who keep their account; return for whom it failed, and why.

    The web app has only the token that Spotify takes no more.
    """
    users = {each.user_id for each in erasures if each.keeps_account}
    failed = {}
    for token in spool.tokens() if users else ():
        if token.user_id in users:
            try:
                tokens.keep_sign_in(connection, token)
            except psycopg.Error as error:
                if connection.closed:
                    raise
                failed[token.user_id] = (
                    f"The new token of user {token.user_id}, whose account stays, waits in the"
                    f" spool: {translate(error)}"
                )
                log.warning("%s", failed[token.user_id])
    return failed


def _problem(spool: Spool, *, confirms: bool) -> str | None:
    """Remove the traces of what was deleted, if anything is to be confirmed; or return why not."""
    if files := spool.broken_files():
        return _may_hold(spool, files)
    if not confirms:
        return None
    if spool.size_of_responses() > _LARGEST or spool.size() > _LARGEST_IN_ALL:
        return (
            f"The rows of erased users are deleted in the spool, but not their traces in its file:"
            f" that is rewritten once less than {_LARGEST // 2**20:,} MB of others' wait there, of"
            f" {spool.size_of_responses() // 2**20:,} MB, and it has less than"
            f" {_LARGEST_IN_ALL // 2**20:,} MB in all, of {spool.size() // 2**20:,} MB."
        )
    try:
        return None if spool.rewrite() else _HELD_UP
    except SpoolError as error:
        return str(error)


def _may_hold(spool: Spool, files: Collection[str]) -> str:
    names = ", ".join(files)
    return (
        f"Broken files of the spool may hold rows of erased users, which cannot be taken out:"
        f" {names} in {spool.path.parent}. What could be read of them is in the spool. Delete them,"
        " with their -wal and -shm: the next drain of that host confirms the erasures."
    )
