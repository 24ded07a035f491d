"""The tasks that erase users on demand: ids and counts travel as XComs, and nothing else."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from songswap.clock import utc_now
from songswap.errors import EraseRefused, ErasureOutdated, RunFailed, SettingsError
from songswap.orchestration.connections import read_settings
from songswap.orchestration.params import parse_users
from songswap.pipelines import erase as erasing
from songswap.pipelines.erase import Preview, Receipt
from songswap.warehouse.user_rows import HISTORY

log = logging.getLogger(__name__)

_LOOKS_EVERY = timedelta(minutes=5)
_PATIENCE = timedelta(days=2)
"""Each host drains its spool within the hour, if it is not away."""


def preview(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Count what would be erased of each user, as XComs; nothing is changed.

    Raises:
        SettingsError: the params name no users, or cannot be read.
        RunFailed: there is nothing of some of them; names them all.
        ArchiveNotErased, WarehouseUnavailable, SchemaOutdated: they could not be counted.
    """
    users = parse_users(params["users"])
    if users is None:
        raise SettingsError(
            "No user was named: write the ids into the param users, as 12, 13. Nothing was done."
        )
    settings, keeps_account = read_settings(), params["keep_account"]
    asked = {"keeps_account": keeps_account, "previewed_at": utc_now().isoformat()}
    units, refused = [], []
    for user_id in dict.fromkeys(users):
        try:
            found = erasing.look(settings, user_id, keeps_account=keeps_account)
        except EraseRefused as error:
            refused.append(str(error))
            continue
        sentence = _sentence(found)
        log.info("%s", sentence)
        units.append({"user": user_id, "sentence": sentence, **asked})
    if refused:
        raise RunFailed("\n".join(refused), [("EraseRefused", sentence) for sentence in refused])
    return units


def erase(unit: Mapping[str, Any]) -> dict[str, Any]:
    """Request the erasure of a user, and do all of it that can be done now.

    Returns:
        ``user``, ``erasure`` (its id, by which the receipt is found), and ``asked_at``.

    Raises:
        AirflowSkipException: the user was due, and is not any more.
        EraseRefused: there is nothing of the user.
        ErasureOutdated: the user has authorized again since the preview that was approved.
        WarehouseUnavailable, SchemaOutdated, WarehouseRefused: what was done until then stays.
    """
    settings = read_settings()
    reason, user_id = unit.get("reason", "request"), unit["user"]
    previewed_at = unit.get("previewed_at")
    try:
        erasure_id = erasing.request(
            settings,
            user_id,
            keeps_account=unit["keeps_account"],
            reason=reason,
            approved_at=datetime.fromisoformat(previewed_at) if previewed_at else None,
        )
    except ErasureOutdated as error:
        if reason != erasing.DUE:
            raise
        log.warning("%s", error)
        raise AirflowSkipException(str(error)) from error
    log_receipt(erasing.proceed(settings, erasure_id))
    return {"user": user_id, "erasure": erasure_id, "asked_at": utc_now().isoformat()}


def wait(asked: Mapping[str, Any]) -> None:
    """Wait until all places of an erasure have confirmed; between two looks no worker is held.

    Raises:
        AirflowRescheduleException: some have not.
        RunFailed: some have not for two days; says which.
    """
    receipt = erasing.proceed(read_settings(), asked["erasure"])
    log_receipt(receipt)
    if receipt.is_complete:
        return
    now = datetime.now(UTC)
    if now - datetime.fromisoformat(asked["asked_at"]) < _PATIENCE:
        raise AirflowRescheduleException(now + _LOOKS_EVERY)  # type: ignore[no-untyped-call]  # Airflow's
    raise RunFailed(still_waits(receipt))


def still_waits(receipt: Receipt) -> str:
    """Return a sentence about an erasure that has not ended, with what it waits for."""
    user_id, requested_at = receipt.erasure.user_id, receipt.erasure.requested_at
    return (
        f"The erasure of user {user_id}, requested {requested_at:%Y-%m-%d %H:%M} UTC, is not done:"
        f" {' '.join(receipt.waiting)} Nothing of the user is polled or loaded meanwhile, and"
        " `erase_due_users` goes on with it each day."
    )


def log_receipt(receipt: Receipt) -> None:
    """Log how an erasure stands."""
    erasure = receipt.erasure
    if receipt.is_complete:
        log.info("User %d is erased: receipt %d.", erasure.user_id, erasure.erasure_id)
    else:
        log.warning("%s", still_waits(receipt))


def _sentence(found: Preview) -> str:
    """Say what an erasure of a user would remove: in ids and counts."""
    rows = sum(found.rows.values())
    archive = (
        f"objects in S3 {found.archive['objects']:,} ({found.archive['bytes']:,} bytes)"
        if found.archive
        else "objects in S3 not counted"
    )
    since = found.requested_at
    again = f" Its erasure was requested {since:%Y-%m-%d %H:%M} UTC, and goes on." if since else ""
    return (
        f"User {found.user_id}: rows {rows:,} (plays {found.rows.get(HISTORY, 0):,}), {archive},"
        f" spools of hosts {len(found.hosts):,}.{again}"
        f"{f' {found.archive_problem}' if found.archive_problem else ''}"
    )
