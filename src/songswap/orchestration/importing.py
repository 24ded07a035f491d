"""The tasks of the import: params read, groups of users as XComs carry them, results logged."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from songswap.errors import RunFailed
from songswap.importing import import_package, total
from songswap.orchestration.connections import read_settings
from songswap.raw.inbox import packages

log = logging.getLogger(__name__)

_NAMED = 20
"""Users who are named in an alert."""

_GROUPS = 30
"""So many at most, however many users: a few go side by side, and a run's XComs stay small."""


def find(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whose exports wait, as groups of users: from the first to the last id.

    Raises:
        ExportRefused: none waits.
        SettingsError, ArchiveUnreadable: see `songswap.raw.inbox.packages`.
    """
    source = params["source"]
    users = [one.user_id for one in packages(source, read_settings().library)]
    size = -(-len(users) // _GROUPS)
    parts = [users[start : start + size] for start in range(0, len(users), size)]
    log.info("Exports of %d users wait in %s.", len(users), source)
    return [{"source": source, "first": part[0], "last": part[-1]} for part in parts]


def load(run_id: str, group: Mapping[str, Any]) -> dict[str, Any]:
    """`songswap.importing.import_package` for each user of a group.

    Returns:
        The counts, and under ``refused`` the users whose export was refused with the reason.
    """
    settings = read_settings()
    done = []
    for package in packages(group["source"], settings.library):
        if group["first"] <= package.user_id <= group["last"]:
            done.append(import_package(settings, run_id, package))
            log.info("User %d: %s", package.user_id, _in_words(done[-1].counts))
    refused = {str(one.user_id): one.problem for one in done if one.problem}
    return {**{name: count for name, count in total(done).items() if count}, "refused": refused}


def summarise(told: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Add up all groups.

    Raises:
        RunFailed: exports were refused; says whose, and why.
    """
    added: dict[str, int] = {}
    refused: dict[str, str] = {}
    for group in told:
        refused |= group["refused"]
        for name in group.keys() - {"refused"}:
            added[name] = added.get(name, 0) + group[name]
    log.info("All: %s", _in_words(added))
    if refused:
        users = ", ".join(list(refused)[:_NAMED]) + (" …" if len(refused) > _NAMED else "")
        each = [f"Refused: the export of user {one}. {why}" for one, why in refused.items()]
        raise RunFailed(
            "\n".join([f"Refused: the exports of users {users}. All others are in.", *each]),
            [("ExportRefused", sentence) for sentence in each],
        )
    return added


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "nothing"
