"""The tasks of the replay: params are parsed, and units travel as XComs."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from songswap.errors import RunFailed
from songswap.orchestration import counts
from songswap.orchestration.connections import read_settings
from songswap.orchestration.params import parse_hour, parse_users
from songswap.orchestration.runs import current_run_id
from songswap.pipelines import replay as archive
from songswap.pipelines import run_counts

log = logging.getLogger(__name__)

_HOUR = "%Y-%m-%dT%H"


def plan(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`songswap.pipelines.replay.plan`, as XComs.

    Raises:
        SettingsError: a param cannot be read, or no key may read the archive.
        RunFailed: none of these users is in the warehouse.
    """
    settings = read_settings()
    since, until = parse_hour(params["from"]), parse_hour(params["to"])
    units = archive.plan(settings, parse_users(params["users"]), since, until)
    if not params["dry_run"]:
        archive.require_users(settings, units)
    return [
        {**unit._asdict(), "since": _format_hour(unit.since), "until": _format_hour(unit.until)}
        for unit in units
    ]


def replay(planned: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, int]:
    """`songswap.pipelines.replay.replay`, or `songswap.pipelines.replay.look` in a dry run."""
    since, until = parse_hour(planned["since"]), parse_hour(planned["until"])
    unit = archive.Unit(tuple(planned["users"]), since, until)
    settings = read_settings()
    if params["dry_run"]:
        replayed = archive.look(settings, unit)
    else:
        replayed = archive.replay(settings, current_run_id(), unit)
    log.info("Users %d to %d: %s", unit.users[0], unit.users[-1], counts.as_text(replayed))
    return {name: count for name, count in replayed.items() if count}


def summarise(units: Iterable[dict[str, int]]) -> dict[str, int]:
    """Add up the counts of all units.

    Raises:
        RunFailed: something could not be loaded.
    """
    total = run_counts.total(units)
    log.info("All: %s", counts.as_text(total))
    if left := archive.problem(total):
        raise RunFailed(left)
    return total


def _format_hour(hour: datetime | None) -> str | None:
    return f"{hour:{_HOUR}}" if hour else None
