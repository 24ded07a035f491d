"""For how long records and logs are kept."""

from datetime import timedelta

import pytest

from songswap.errors import SettingsError
from songswap.settings.retention import Retention, keep_raw_days, retention


def test_defaults_are_generous() -> None:
    """90 days of runs, 30 of logs."""
    assert retention({}) == Retention(timedelta(days=90), timedelta(days=30))


def test_days_are_settings() -> None:
    """Each on its own."""
    kept = retention({"SONGSWAP_KEEP_DAYS": "365", "SONGSWAP_KEEP_LOG_DAYS": "7"})
    assert kept == Retention(timedelta(days=365), timedelta(days=7))


@pytest.mark.parametrize(
    ("name", "text"),
    [("SONGSWAP_KEEP_DAYS", "6"), ("SONGSWAP_KEEP_DAYS", "all"), ("SONGSWAP_KEEP_LOG_DAYS", "0")],
)
def test_too_few_days_are_refused(name: str, text: str) -> None:
    """A week of runs is the least: the limits of the app are learned from the last hours."""
    with pytest.raises(SettingsError, match=name):
        retention({name: text})


def test_raw_responses_are_kept_unless_set() -> None:
    assert keep_raw_days({}) is None
    assert keep_raw_days({"SONGSWAP_KEEP_RAW_DAYS": " "}) is None
    assert keep_raw_days({"SONGSWAP_KEEP_RAW_DAYS": "365"}) == 365


@pytest.mark.parametrize("text", ["0", "-1", "for ever", "1.5"])
def test_no_number_of_days(text: str) -> None:
    """0 is neither "at once" nor "never"."""
    with pytest.raises(SettingsError, match="SONGSWAP_KEEP_RAW_DAYS"):
        keep_raw_days({"SONGSWAP_KEEP_RAW_DAYS": text})
