"""The tasks of the replay: params read, units as XComs carry them, results logged."""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from songswap.errors import RunFailed, SettingsError
from songswap.orchestration.connections import read_settings
from songswap.pipelines import replay as archive

log = logging.getLogger(__name__)

_HOURS = ("%Y-%m-%dT%H", "%Y-%m-%d")


def plan(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`songswap.pipelines.replay.plan`, in the form in which the next tasks get it.

    Raises:
        SettingsError: an hour is none, or no key may read the archive.
        RunFailed: nobody of these users is in the warehouse.
    """
    settings = read_settings()
    since, until = _hour(params["from"]), _hour(params["to"])
    units = archive.plan(settings, params["users"] or None, since, until)
    if not params["dry_run"]:
        archive.require_users(settings, units)
    return [
        {**unit._asdict(), "since": _written(unit.since), "until": _written(unit.until)}
        for unit in units
    ]


def replay(run_id: str, told: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, int]:
    """`songswap.pipelines.replay.replay`, or `songswap.pipelines.replay.look` in a dry run."""
    since, until = _hour(told["since"]), _hour(told["until"])
    unit = archive.Unit(tuple(told["users"]), since, until)
    settings = read_settings()
    counts = (
        archive.look(settings, unit)
        if params["dry_run"]
        else archive.replay(settings, run_id, unit)
    )
    log.info("Users %d to %d: %s", unit.users[0], unit.users[-1], _in_words(counts))
    return {name: count for name, count in counts.items() if count}


def summarise(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Add up all units.

    Raises:
        RunFailed: something could not be loaded.
    """
    added = archive.total(counts)
    log.info("All: %s", _in_words(added))
    if left := archive.problem(added):
        raise RunFailed(left)
    return added


def _hour(text: str | None) -> datetime | None:
    for form in _HOURS if text else ():
        try:
            return datetime.strptime(text or "", form).replace(tzinfo=UTC)
        except ValueError:
            continue
    if text:
        raise SettingsError(f"{text!r} is no hour: write it as 2026-11-22T08, or as a day.")
    return None


def _written(hour: datetime | None) -> str | None:
    return f"{hour:{_HOURS[0]}}" if hour else None


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "nothing"
