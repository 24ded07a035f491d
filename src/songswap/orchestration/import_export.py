"""The tasks of the import: groups of users travel as XComs, and results are logged."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from songswap.errors import RunFailed
from songswap.orchestration import counts
from songswap.orchestration.connections import read_settings
from songswap.orchestration.runs import current_run_id
from songswap.pipelines.import_export import import_package, total
from songswap.storage.export_inbox import find_exports, packages

log = logging.getLogger(__name__)

_MOST_NAMED = 20
"""Users that an alert names, and skipped files that the summary names."""

_MOST_NAMED_OF_GROUP = 5

_MOST_GROUPS = 30
"""However many users: a few groups run at the same time, and a run's XComs stay small."""


def find(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Find whose exports wait, and cut the users into groups: from the first to the last id.

    The first group also has the skipped files that name no user, for the summary.

    Raises:
        ExportRefused: none waits.
        SettingsError, ArchiveUnreadable: see `songswap.storage.export_inbox.packages`.
    """
    source = params["source"]
    waiting = find_exports(source, read_settings().library)
    users = [package.user_id for package in waiting.packages]
    size = -(-len(users) // _MOST_GROUPS)
    parts = [users[start : start + size] for start in range(0, len(users), size)]
    log.info("Exports of %d users wait in %s.", len(users), source)
    groups = [{"source": source, "first": part[0], "last": part[-1]} for part in parts]
    for name in waiting.skipped:
        log.warning("Skipped: %s", name)
    groups[0]["skipped"] = _cut(waiting.skipped, _MOST_NAMED)
    return groups


def load(group: Mapping[str, Any]) -> dict[str, Any]:
    """`songswap.pipelines.import_export.import_package` for each user of a group.

    Returns:
        ``counts``; ``refused``, the users whose export was refused, with the reason; ``left_out``,
        files that may be a history and were not read; and the group's ``skipped``.
    """
    settings, run_id = read_settings(), current_run_id()
    done = []
    for package in packages(group["source"], settings.library):
        if group["first"] <= package.user_id <= group["last"]:
            imported = import_package(settings, run_id, package)
            done.append(imported)
            if imported.problem:
                log.warning("User %d: %s", imported.user_id, imported.problem)
            else:
                log.info("User %d: %s", imported.user_id, counts.as_text(imported.counts))
            for name in imported.left_out:
                log.warning("User %d: left out, and may be a history: %s", imported.user_id, name)
    left_out = [
        f"User {imported.user_id}: {name}" for imported in done for name in imported.left_out
    ]
    return {
        "counts": {name: count for name, count in total(done).items() if count},
        "refused": {str(each.user_id): each.problem for each in done if each.problem},
        "left_out": _cut(left_out, _MOST_NAMED_OF_GROUP),
        "skipped": group.get("skipped", []),
    }


def summarise(groups: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Add up all groups, and name the files that were left out or skipped.

    Raises:
        RunFailed: exports were refused; says whose, and why.
    """
    added: Counter[str] = Counter()
    refused: dict[str, str] = {}
    for group in groups:
        added.update(group["counts"])
        refused |= group["refused"]
        for name in group["left_out"]:
            log.warning("Left out, and may be a history: %s", name)
        for name in group["skipped"]:
            log.warning("Skipped: %s", name)
    log.info("All: %s", counts.as_text(added))
    if refused:
        users = ", ".join(_cut(list(refused), _MOST_NAMED))
        each = [f"Refused: the export of user {user}. {reason}" for user, reason in refused.items()]
        raise RunFailed(
            "\n".join([f"Refused: the exports of users {users}. All others are in.", *each]),
            [("ExportRefused", sentence) for sentence in each],
        )
    return dict(added)


def _cut(names: list[str], most: int) -> list[str]:
    """Return the first names, and how many more there are; the logs of the groups have all."""
    more = len(names) - most
    return names[:most] + ([f"and {more:,} more"] if more > 0 else [])
