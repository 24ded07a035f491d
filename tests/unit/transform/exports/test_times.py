"""The times of an export's rows."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.transform.exports.times import export_time

AT = datetime(2019, 3, 14, 15, 9, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2019-03-14T15:09:26Z",
        "2019-03-14 15:09:26",
        "2019-03-14T15:09:26",
        "2019-03-14 15:09:26Z",
        "2019-03-14 15:09:26 UTC",
        "2019-03-14 15:09:26 GMT",
        "2019-03-14T15:09:26.000Z",
        "2019-03-14T15:09:26+00:00",
        "2019-03-14 15:09:26+0000",
        "2019-03-14T16:09:26+01",
        "2019-03-14T10:39:26-04:30",
        "2019/03/14 15:09:26",
        "2019.03.14 15:09:26",
        "2019-3-14, 15:09:26",
        "  2019-03-14  15:09:26 ",
        "20190314T150926Z",
        1552576166,
        1552576166000,
        1552576166.0,
        "1552576166",
        "1552576166000",
    ],
)
def test_each_spelling_of_a_time_is_that_time(value: str | float) -> None:
    """Without a zone it is UTC."""
    assert export_time(value) == AT


@pytest.mark.parametrize(
    ("value", "ms"),
    [("2019-03-14 15:09:26.5", 500), ("2019-03-14 15:09:26,123456", 123), (1552576166007, 7)],
)
def test_fraction_is_cut_to_the_millisecond(value: str | int, ms: int) -> None:
    assert export_time(value) == AT + timedelta(milliseconds=ms)


def test_to_the_minute() -> None:
    """Seconds may be missing."""
    assert export_time("2019-03-14 15:09") == AT.replace(second=0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "yesterday",
        "2019-03-14",
        "2019-03-14T",
        "20190314",
        "03/04/2019 15:09:26",
        "2019-03-14 03:09:26 PM",
        "2019-02-30 15:09:26",
        "2019-03-14 25:09:26",
        "2019-03-14 15:09:26 CET",
        "0001-01-01T00:00:00+23:59",
        0,
        155257616,
        155257616612,
        -1552576166,
        float("1e300"),
    ],
)
def test_ambiguous_or_broken_time_is_none(value: str | float | None) -> None:
    assert export_time(value) is None


@given(
    st.datetimes(datetime(2006, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001  (the zone is drawn)
    st.integers(-14 * 60, 14 * 60),
)
def test_any_time_in_any_zone(naive: datetime, minutes: int) -> None:
    """What ISO 8601 writes is read, whatever the zone."""
    at = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    beyond = timedelta(microseconds=at.microsecond % 1000)
    assert export_time(at.isoformat()) == at - beyond
    assert export_time(at.isoformat(" ", "seconds")) == at.replace(microsecond=0)


@given(st.text() | st.floats() | st.integers())
def test_any_text_is_read_without_an_error(value: str | float) -> None:
    export_time(value)
