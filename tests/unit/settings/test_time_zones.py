"""The time zones of alerts."""

import pytest

from songswap.alerts.message import label
from songswap.errors import SettingsError
from songswap.settings.time_zones import time_zones


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (None, ["Los Angeles"]),
        (" ", ["Los Angeles"]),
        ("Europe/Berlin", ["Berlin"]),
        (" America/Argentina/Buenos_Aires , Asia/Tokyo,", ["Buenos Aires", "Tokyo"]),
        ("Asia/Tokyo,Asia/Tokyo", ["Tokyo"]),
        ("UTC", []),
    ],
)
def test_zones_are_read_in_their_order(text: str | None, labels: list[str]) -> None:
    """Each once; that of the description's alerts by default; UTC is always shown."""
    environment = {} if text is None else {"SONGSWAP_TIME_ZONES": text}
    assert [label(zone) for zone in time_zones(environment)] == labels


@pytest.mark.parametrize(
    "name", ["Mars/Base", "Europe", "../../etc/passwd", "/etc/localtime", "a\0b", "PT", "x" * 500]
)
def test_wrong_name_is_an_error(name: str) -> None:
    """It says how a name looks; a file elsewhere is not read."""
    with pytest.raises(SettingsError, match=r"SONGSWAP_TIME_ZONES.*no time zone.*Europe/Berlin"):
        time_zones({"SONGSWAP_TIME_ZONES": f"Asia/Tokyo,{name}"})


def test_number_of_zones_is_limited() -> None:
    """A message on Discord has room for 25 fields."""
    zones = ",".join(f"Etc/GMT+{hours}" for hours in range(1, 12))
    with pytest.raises(SettingsError, match="11 time zones"):
        time_zones({"SONGSWAP_TIME_ZONES": zones})
