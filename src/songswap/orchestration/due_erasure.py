"""The daily tasks around erasing: go on, find who is due, tell of it, look after the erased."""

import logging
from datetime import timedelta
from typing import Any

from songswap.alerts.due_notices import came_back
from songswap.alerts.notices import LOOK, Notice
from songswap.clock import utc_now
from songswap.errors import RunFailed, SongSwapError
from songswap.orchestration.alerts import add_notices
from songswap.orchestration.connections import read_settings
from songswap.orchestration.erasure import log_receipt, still_waits
from songswap.pipelines import due, due_notices
from songswap.pipelines import erase as erasing
from songswap.pipelines.erased_archive import remove_returned
from songswap.warehouse.connection import connect

log = logging.getLogger(__name__)

_PATIENCE = timedelta(hours=20)
"""An erasure of today may wait for its hosts; one that the run before has seen may not."""


def go_on() -> None:
    """Do what can be done of all erasures that have not ended.

    Raises:
        RunFailed: some of them still wait, which were not requested lately.
    """
    settings, late = read_settings(), []
    for erasure_id in erasing.open_ids(settings):
        receipt = erasing.proceed(settings, erasure_id)
        log_receipt(receipt)
        if not receipt.is_complete and receipt.erasure.requested_at < utc_now() - _PATIENCE:
            late.append(still_waits(receipt))
    if late:
        raise RunFailed("\n".join(late), [("RunFailed", sentence) for sentence in late])


def find_due() -> list[dict[str, Any]]:
    """Refresh the list of users who have to be erased.

    Returns:
        Those whose day has come, and of whom `announce` told before today, for
        `songswap.orchestration.erasure.erase`; nobody, unless ``SONGSWAP_ERASE_DUE`` is set.
    """
    settings = read_settings()
    now = due.not_ahead(settings, utc_now())
    found = due.refresh(settings, now)
    with connect(settings.warehouse_dsn) as connection:
        to_erase = found.to_erase(now, due_notices.told_before(connection, now))
    log.info(
        "%d users have to be erased, %d of them by now, %d of whom may be erased by this run.",
        *(len(found.users), len(found.due_now(now)), len(to_erase)),
    )
    if not settings.erases_due:
        log.info("SONGSWAP_ERASE_DUE is not 1: nobody is erased by this run.")
        return []
    return [{"user": user.user_id, "keeps_account": False, "reason": "due"} for user in to_erase]


def announce() -> None:
    """Leave notices for the run's message: who is due tomorrow, and who is due and stays."""
    settings, now = read_settings(), utc_now()
    found = due.refresh(settings, now)
    if found.archived is None:
        log.warning(
            "No key may list the archive (SongSwap_S3_ReadOnly, or SongSwap_S3_Erase): users who"
            ' are gone from "Users" are not looked for.'
        )
    with connect(settings.warehouse_dsn) as connection, connection.transaction():
        # Left before it is recorded: a notice that comes twice is better than none.
        said = due_notices.due(connection, found, by_itself=settings.erases_due, now=now)
        add_notices(said)


def look_after() -> None:
    """Remove what has come back into S3 of users who were erased lately, with a notice of it.

    Raises:
        RunFailed: something of it could not be removed.
        ArchiveNotErased: S3 was not looked through.
    """
    said, left = [], list[tuple[str, str]]()
    try:
        for returned in remove_returned(read_settings()):
            text = came_back(returned.user_id, returned.objects, returned.ended_on)
            said.append(Notice(LOOK, text))
            log_receipt(returned.receipt)
            if not returned.receipt.is_complete:
                left.append(("RunFailed", still_waits(returned.receipt)))
    except SongSwapError as error:
        if not said:
            raise
        # A retry would lose the notices, and not find again what was removed; the next run goes on.
        left.append((type(error).__name__, str(error)))
    add_notices(said)
    if left:
        raise RunFailed("\n".join(sentence for _, sentence in left), left)
