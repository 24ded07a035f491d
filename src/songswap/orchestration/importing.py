"""The tasks of the import: params read, groups of users as XComs carry them, results logged."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from songswap.errors import RunFailed
from songswap.orchestration.connections import read_settings
from songswap.pipelines.import_export import import_package, total
from songswap.storage.export_inbox import find_exports, packages

log = logging.getLogger(__name__)

_NAMED = 20
"""Users who are named in an alert, and names of what was skipped."""

_NAMED_OF_A_GROUP = 5

_GROUPS = 30
"""So many at most, however many users: a few go side by side, and a run's XComs stay small."""


def find(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whose exports wait, as groups of users: from the first to the last id.

    The first group also has what was skipped because it names no user, for the summary.

    Raises:
        ExportRefused: none waits.
        SettingsError, ArchiveUnreadable: see `songswap.storage.export_inbox.packages`.
    """
    source = params["source"]
    waiting = find_exports(source, read_settings().library)
    users = [one.user_id for one in waiting.packages]
    size = -(-len(users) // _GROUPS)
    parts = [users[start : start + size] for start in range(0, len(users), size)]
    log.info("Exports of %d users wait in %s.", len(users), source)
    groups = [{"source": source, "first": part[0], "last": part[-1]} for part in parts]
    for name in waiting.skipped:
        log.warning("Skipped: %s", name)
    groups[0]["skipped"] = _few(waiting.skipped, _NAMED)
    return groups


def load(run_id: str, group: Mapping[str, Any]) -> dict[str, Any]:
    """`songswap.pipelines.import_export.import_package` for each user of a group.

    Returns:
        The counts; under ``refused`` the users whose export was refused with the reason; under
        ``left_out`` what may be a history and was not read, and the group's ``skipped``.
    """
    settings = read_settings()
    done = []
    for package in packages(group["source"], settings.library):
        if group["first"] <= package.user_id <= group["last"]:
            done.append(one := import_package(settings, run_id, package))
            if one.problem:
                log.warning("User %d: %s", one.user_id, one.problem)
            else:
                log.info("User %d: %s", one.user_id, _in_words(one.counts))
            for name in one.left_out:
                log.warning("User %d: left out, and may be a history: %s", one.user_id, name)
    refused = {str(one.user_id): one.problem for one in done if one.problem}
    left_out = [f"User {one.user_id}: {name}" for one in done for name in one.left_out]
    return {
        **{name: count for name, count in total(done).items() if count},
        "refused": refused,
        "left_out": _few(left_out, _NAMED_OF_A_GROUP),
        "skipped": group.get("skipped", []),
    }


def _few(names: list[str], most: int) -> list[str]:
    """Names for a summary; the logs of the groups have them all."""
    more = len(names) - most
    return names[:most] + ([f"and {more:,} more"] if more > 0 else [])


def summarise(told: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Add up all groups, and name what was left out or skipped.

    Raises:
        RunFailed: exports were refused; says whose, and why.
    """
    added: dict[str, int] = {}
    refused: dict[str, str] = {}
    for group in told:
        refused |= group["refused"]
        for name in group["left_out"]:
            log.warning("Left out, and may be a history: %s", name)
        for name in group["skipped"]:
            log.warning("Skipped: %s", name)
        for name in group.keys() - {"refused", "left_out", "skipped"}:
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
