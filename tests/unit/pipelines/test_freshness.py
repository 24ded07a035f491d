"""Whether the hourly load stands still: decided from facts alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from songswap.errors import SettingsError
from songswap.pipelines.freshness import decide, parse_limit
from songswap.warehouse.freshness import Facts, GoodRun

NOW = datetime(2026, 11, 27, 10, 20, tzinfo=UTC)
LIMIT = timedelta(minutes=90)
SERVED = {"users": 25, "polled": 25, "oldest_poll_minutes": 2}


def good(minutes: int, state: str = "success", **counts: int) -> GoodRun:
    """A run that ended well so many minutes ago."""
    ended = NOW - timedelta(minutes=minutes)
    return GoodRun(state, ended, ended - timedelta(minutes=3), counts or SERVED)


def facts(
    run: GoodRun | None, failed: int = 0, problem: str | None = None, running: int | None = None
) -> Facts:
    """Facts, with a run that is at work for so many minutes."""
    since = None if running is None else NOW - timedelta(minutes=running)
    return Facts(run, failed, problem, since)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (facts(good(12)), "12 min ago (2026-11-27 10:08 UTC) and polled 25 users"),
        (facts(good(90)), "1 h 30 min ago"),
        (facts(good(60), failed=1, problem="S3 was down."), "; 1 run failed since."),
        # A load may take 55 minutes: the next one's end can be further away than the limit.
        (facts(good(105), running=50), "at work since 2026-11-27 09:30 UTC"),
        # Nobody can do anything about it, and the pause was told of.
        (facts(good(5, "paused", users=25)), "in a pause that Spotify or ReccoBeats asked for"),
        # The app's limit serves only some users in an hour: told of elsewhere, once.
        (facts(good(5, users=10, polled=10, deferred=90)), "polled 10 of 100 users"),
        (facts(good(5, seconds=1)), "found no user to poll"),
        (facts(good(5, users=2, paused=2)), "grants of 2 users are paused or dead"),
        (facts(good(5, users=1, polled=1)), "polled 1 user."),
        # A little ahead of this machine's clock.
        (facts(good(-1)), "less than a minute ago"),
    ],
)
def test_is_fresh(found: Facts, words: str) -> None:
    """A load that goes on alarms nobody, in whatever of its states."""
    verdict = decide(found, LIMIT, NOW)
    assert verdict.is_fresh, verdict.sentence
    assert words in verdict.sentence
    assert verdict.sentence.endswith(".")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (facts(None), "No hourly load has ended well yet, and none is at work."),
        (facts(None, running=1), "yet: the first one is at work since"),
        (facts(None, 3, "x"), "yet: 3 runs failed since."),
        (facts(good(91)), "1 h 31 min ago (2026-11-27 08:49 UTC), and none has begun since."),
        (facts(good(200), 2, "x"), ": 2 runs failed since."),
        # What fails each hour is at work most of the time, and would never be told.
        (facts(good(200), 2, "x", running=10), ": 2 runs failed since, and one is at work."),
        (facts(good(5, users=25)), "but it polled nobody of 25 users"),
        (facts(good(5, users=0, deferred=25)), "but it polled nobody of 25 users"),
    ],
)
def test_is_not_fresh(found: Facts, words: str) -> None:
    """A load that stands still says so, and since when."""
    verdict = decide(found, LIMIT, NOW)
    assert not verdict.is_fresh, verdict.sentence
    assert words in verdict.sentence


def test_figures_hold_no_names() -> None:
    """What a run failed of may name hosts: it is neither in the sentence nor in the figures."""
    verdict = decide(facts(good(200), 2, "host worker-2 is silent"), LIMIT, NOW)
    assert verdict.problem == "host worker-2 is silent"
    assert "worker-2" not in f"{verdict.sentence} {verdict.figures}"
    assert verdict.figures == {
        "limit_minutes": 90,
        "last_good_at": "2026-11-27T07:00:00+00:00",
        "minutes": 200,
        "users": 25,
        "deferred": 0,
        "polled": 25,
        "oldest_poll_minutes": 2,
        "failed": 2,
        "running_since": None,
    }


@pytest.mark.parametrize(
    ("text", "minutes"), [("90m", 90), ("2h", 120), ("1h30m", 90), (" 45M ", 45), ("0h5m", 5)]
)
def test_durations(text: str, minutes: int) -> None:
    """Hours and minutes, as people write them."""
    assert parse_limit(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "text", ["", "90", "m", "0m", "-5m", "1.5h", "90 min", "2d", "9" * 400 + "h", "٣h\n", "[red]"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A mistyped limit would be a watch that never says a word: it is refused in a sentence."""
    with pytest.raises(SettingsError, match="written as 90m") as refused:
        parse_limit(text)
    given: Any = str(refused.value)
    assert repr(text) in given
