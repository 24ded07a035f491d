"""When the scheduled loads run."""

import pytest

from songswap.errors import SettingsError
from songswap.schedule import between, hourly, minute_of


@pytest.mark.parametrize(
    ("text", "load", "polls"),
    [
        ("", "1 * * * *", "6-56/10 * * * *"),
        (" 17 ", "17 * * * *", "2-52/10 * * * *"),
        ("0", "0 * * * *", "5-55/10 * * * *"),
        ("05", "5 * * * *", "0-50/10 * * * *"),
        ("59", "59 * * * *", "4-54/10 * * * *"),
    ],
)
def test_polls_are_five_minutes_from_the_load(text: str, load: str, polls: str) -> None:
    """Six an hour, the nearest five minutes before and after it."""
    minute = minute_of({"SONGSWAP_MINUTE": text})
    assert (hourly(minute), between(minute)) == (load, polls)
    first, last = map(int, polls.split("/")[0].split("-"))
    distances = {(poll - minute) % 60 for poll in range(first, last + 1, 10)}
    assert distances == {5, 15, 25, 35, 45, 55}


@pytest.mark.parametrize("text", ["60", "-1", "1.5", "one", "*/5", "1 2", "٣", "9" * 5000])
def test_wrong_minute_is_an_error(text: str) -> None:
    """It says what it has to be, and when the load runs meanwhile."""
    with pytest.raises(SettingsError, match=r"SONGSWAP_MINUTE.*0 to 59.*minute 1\.") as refused:
        minute_of({"SONGSWAP_MINUTE": text})
    assert len(str(refused.value)) < 200
