"""How many users an hour serves, by the limits that were learned."""

from datetime import timedelta

import pytest

from songswap.warehouse.limits.capacity import POLLING_TIME, Hour, Learned, hour_of

MINUTE = timedelta(minutes=1)
EVEN = [34] * 23 + [0]
"""A day of 960 requests, of which 34 an hour are for polls."""


def a_day(per_day: int = 960, used: list[int] | None = None, in_day: int = 782) -> Learned:
    """A limit of a day."""
    return Learned(per_day=per_day, polls_by_hour=EVEN if used is None else used, in_day=in_day)


def test_without_a_limit_everybody_is_polled() -> None:
    """However many they are, and however late it is."""
    assert Learned().an_hour() is None
    assert hour_of(Learned(), timedelta(), 1_000_000, 20) == Hour(1_000_000)


@pytest.mark.parametrize(
    ("learned", "users"),
    [
        # 90 windows of 100 requests, of which 85 are planned.
        (Learned(per_window=100), 7_650),
        (Learned(per_window=100, per_poll=1.5), 5_100),
        (Learned(per_window=100, window=timedelta(seconds=60)), 3_825),
        (Learned(per_day=960), 34),
        (Learned(per_window=100, per_day=960), 34),
    ],
)
def test_least_limit_decides(learned: Learned, users: int) -> None:
    """Of the window and of the day, with as many requests as a poll takes."""
    assert learned.an_hour() == users


def test_window_serves_the_time_that_is_left() -> None:
    """A run that began late polls fewer; one that is over polls those at risk, and a few."""
    learned = Learned(per_window=100)
    assert learned.next_hour(POLLING_TIME) == 7_650
    assert learned.next_hour(15 * MINUTE) == 2_550
    assert learned.next_hour(-MINUTE) == 0
    assert hour_of(learned, -MINUTE, 10_000, 5).polled == 5 + 7_650 // 4 + 1


def test_day_is_spread_over_its_hours() -> None:
    """What hours leave over is not made up for; what they took beyond their share is given back."""
    assert a_day().next_hour(POLLING_TIME) == 34
    assert a_day(used=[0] * 24, in_day=0).next_hour(POLLING_TIME) == 34
    assert a_day(used=[34] * 22 + [44, 0]).next_hour(POLLING_TIME) == 24
    assert a_day(used=[34] * 20 + [44, 34, 34, 0]).next_hour(POLLING_TIME) == 24
    assert a_day(used=[34] * 20 + [44, 24, 34, 0]).next_hour(POLLING_TIME) == 34
    assert a_day(used=[34] * 23 + [30]).next_hour(POLLING_TIME) == 4, "another run of this hour"


def test_debts_of_a_day_do_not_stop_all_polls() -> None:
    """After a limit was learned that is lower than what a whole day used, most is forgiven."""
    assert a_day(used=[400] + [38] * 22 + [0]).next_hour(POLLING_TIME) == 34 - 5 * 4


def test_hour_ends_where_the_day_is_used_up() -> None:
    """There is no sense in requests that Spotify refuses."""
    assert a_day(in_day=950).next_hour(POLLING_TIME) == 10
    assert a_day(in_day=970).next_hour(POLLING_TIME) == 0


def test_hour_that_serves_all_defers_nobody() -> None:
    """Whether they are at risk or not."""
    assert hour_of(a_day(), POLLING_TIME, 34, 34) == Hour(34)
    assert hour_of(a_day(), POLLING_TIME, 35, 0) == Hour(34, 1)


def test_users_at_risk_come_before_the_others() -> None:
    """They take the places of others, but a quarter of the hour is for those unpolled longest."""
    assert hour_of(a_day(), POLLING_TIME, 100, 20) == Hour(34, 66)
    assert hour_of(a_day(), POLLING_TIME, 100, 34) == Hour(34 + 9, 57)


def test_estimate_keeps_nobody_at_risk_from_being_polled() -> None:
    """For how many the limits leave no room is said."""
    assert hour_of(a_day(in_day=950), POLLING_TIME, 100, 30) == Hour(39, 61, endangered=20)
    assert hour_of(a_day(in_day=960), POLLING_TIME, 100, 100) == Hour(100, 0, endangered=100)
