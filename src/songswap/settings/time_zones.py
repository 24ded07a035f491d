"""The time zones that alerts show beside UTC."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from songswap.errors import SettingsError

NAME = "SONGSWAP_TIME_ZONES"
DEFAULT = "America/Los_Angeles"
_MOST = 10


def time_zones(environment: Mapping[str, str]) -> tuple[ZoneInfo, ...]:
    """Return the time zones of a setting, in its order; UTC itself is left out.

    Raises:
        SettingsError: a name is no time zone, or there are more than 10.
    """
    text = environment.get(NAME, "").strip() or DEFAULT
    names = dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
    if len(names) > _MOST:
        raise SettingsError(f"{NAME} has {len(names)} time zones: name {_MOST} at most.")
    return tuple(_zone(name) for name in names if name != "UTC")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # A folder of zones, such as Europe, is an OSError.
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            f"{NAME} has {name[:100]!r}, which is no time zone: give names like Europe/Berlin,"
            " separated by commas."
        ) from None
