"""Simulated days under a storm: the promise is kept, and what breaks it would be seen."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from songswap.dev.soak.limit import LimitVerdict
from songswap.dev.soak.play import Play
from songswap.dev.soak.run import soak
from songswap.dev.soak.storm import KINDS, LIVES, OWN, storm
from songswap.dev.soak.verdict import Gap, account

T = datetime(2026, 11, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
USERS, DAYS = 30, 1


@contextmanager
def busy_cores() -> Iterator[None]:
    """Every core of this machine kept full by something else."""
    spin = [sys.executable, "-c", "while True: pass"]
    children = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]  # noqa: S603 - our own
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_soak_on_a_busy_machine_loses_nobody(tmp_path: Path) -> None:
    """Where processes are killed and responses get lost, however slow it all is."""
    kinds = {"kill", "token answer lost", "timeout", "5xx"}
    with busy_cores():
        verdict, tally = soak(tmp_path, 25, 7 / 24, 349, lambda *_: None, kinds)
    assert verdict.good, (verdict.counts, verdict.examples, verdict.stranded)
    assert tally.runs["kill: killed"] > 2
    assert tally.occurred.keys() >= kinds


def test_soak_loses_doubles_and_invents_nothing(tmp_path: Path) -> None:
    """Every gap is recorded, and every user recovers."""
    verdict, tally = soak(tmp_path, USERS, DAYS, 14, lambda *_: None)
    assert verdict.good, (verdict.counts, verdict.examples, verdict.stranded)
    assert verdict.counts["loaded"] >= verdict.counts["reachable"] > 100
    assert tally.occurred.total() > 10
    assert tally.struck.total() > 10
    assert tally.runs["between the hours"] > 0
    assert tally.occurred["six months over"] > 0
    assert len(tally.resident) == DAYS


def test_soak_with_a_limit_that_serves_a_third(tmp_path: Path) -> None:
    """Whoever stays in the feed for a turn is kept, and everybody has a turn in time."""
    verdict, tally = soak(tmp_path, USERS, DAYS, 14, lambda *_: None, (), served=1 / 3)
    assert verdict.good, (verdict.counts, verdict.examples, verdict.stranded, verdict.limit)
    assert verdict.limit
    assert (verdict.limit.served, verdict.limit.turn, verdict.limit.lost) == (10, 4, 0)
    assert 3 <= verdict.limit.longest <= 8
    assert tally.runs["good"] == 24
    feeds = verdict.calls["recently-played"]
    assert sum(feeds.values()) < 24 * 10 + USERS


def test_lost_turn_is_found() -> None:
    """A play that stayed for a turn was missed, or a user waited for longer than two."""
    limit = LimitVerdict(served=10, users=30, turn=4)
    stays = {3: (True, False), 4: (True, True), 9: (True, True)}
    for hours, kept in stays.items():
        left_at = T + timedelta(hours=hours)
        limit.add(play(0, reachable=one)._replace(left_at=left_at) for one in kept)
    limit.add([play(0, reachable=False)._replace(left_at=T), play(0, reachable=False)])
    assert (limit.early_kept, limit.early_missed, limit.missed_within_an_hour) == (1, 1, 0)
    assert limit.good
    assert not replace(limit, longest=8.1).good
    limit.add([play(0, reachable=False)._replace(left_at=T + timedelta(hours=4))])
    assert (limit.lost, limit.good) == (1, False)


def test_soak_command_prints_its_sums_as_json() -> None:
    """It exits with 0."""
    command = [sys.executable, "-m", "songswap.dev.soak", "--json", "--seed", "11"]
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, "--users", "12", "--days", "0.5"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["good"]
    assert report["loaded"] >= report["reachable"] > 100
    assert (report["lost"], report["duplicated"], report["invented"]) == (0, 0, 0)
    assert report["minutes_from_play_to_row"]["median"] > 0
    assert report["api_calls_per_user_hour"] > 0.5
    assert {"soak", "simulator"} <= report["peak_memory_mib"].keys()


def test_storm_is_drawn_from_the_seed_and_ends() -> None:
    """The same seed draws the same hours; all that can come does; the last hours are calm."""
    hours = storm(1, 50, 30 * 24)
    assert hours == storm(1, 50, 30 * 24) != storm(2, 50, 30 * 24)
    assert {hour.own for hour in hours} == {"", *OWN}
    assert {hour.lives for hour in hours} == {"", *LIVES}
    came = {fault.kind for hour in hours for fault in hour.faults}
    came |= {kind for hour in hours for kind in (hour.own, hour.lives) if kind}
    assert came - {"slow tokens", "hanging feed"} == KINDS - {"development"}
    assert {hour.clock_off for hour in hours} == {0, 26, -26}
    assert not any(hour.faults or hour.own or hour.development for hour in hours[-8:])
    for number, hour in enumerate(hours):
        assert all(number + fault.hours < len(hours) - 8 for fault in hour.faults)


def test_storm_of_some_kinds() -> None:
    """Only those come, and what a kill needs is kept from it."""
    kinds = {"kill", "403 for everybody", "403 for one"}
    hours = storm(3, 50, 60 * 24, kinds)
    assert {hour.own for hour in hours} == {"", "kill"}
    assert {fault.kind for hour in hours for fault in hour.faults} == kinds - {"kill"}
    forbidden = [
        later
        for number, hour in enumerate(hours)
        for fault in hour.faults
        for later in range(number, number + fault.hours + 1)
    ]
    assert not any(hours[number].own == "kill" for number in forbidden)


def play(minute: int, *, reachable: bool = True, late: int = 0) -> Play:
    """A play of the track `t<minute>`."""
    at = T + minute * MINUTE
    return Play(at, f"t{minute}", at + late * MINUTE, reachable)


def told(ledger: list[Play]) -> dict[datetime, str]:
    """History as it has to be."""
    return {one.played_at: one.track_id for one in ledger if one.reachable and one.track_id}


def test_lost_and_invented_plays_are_found() -> None:
    """A play that could be told and is not there, or with another track, or from nowhere."""
    ledger = [play(minute) for minute in range(4)]
    history = told(ledger)
    del history[T + MINUTE]
    history[T + 2 * MINUTE] = "another"
    history[T + 9 * MINUTE] = "t9"
    counts, wrong = account(ledger, history, [], [], None)
    assert (counts["lost"], counts["invented"]) == (2, 2)
    assert {name for name, _ in wrong} == {"lost", "invented"}


def test_true_gap_has_to_be_recorded() -> None:
    """Plays that came in order and were never reached, between known ones, need a recorded gap."""
    ledger = [play(0), play(1, reachable=False), play(2, reachable=False), play(3)]
    bare, _ = account(ledger, told(ledger), [], [], None)
    assert (bare["gaps_true"], bare["gaps_unrecorded"]) == (1, 1)
    gap = Gap(T, T + 3 * MINUTE, T + 4 * MINUTE)
    counts, wrong = account(ledger, told(ledger), [gap], [], None)
    assert (counts["gaps_true"], counts["gaps_recorded"], counts["in_gaps"]) == (1, 1, 2)
    assert not wrong


def test_plays_before_the_first_response_are_no_gap() -> None:
    """Unless an empty response came first."""
    ledger = [play(1, reachable=False), play(2)]
    counts, wrong = account(ledger, told(ledger), [], [], None)
    assert (counts["gaps_true"], counts["outside"], wrong) == (0, 1, [])
    counts, _ = account(ledger, told(ledger), [], [], T)
    assert counts["gaps_unrecorded"] == 1


def test_missed_plays_that_nobody_can_know_of() -> None:
    """Late ones that left between two joined answers are counted apart, as are those set aside."""
    ledger = [
        play(0),
        play(1, reachable=False, late=90),
        play(2),
        play(3, reachable=False),
        play(4),
    ]
    counts, wrong = account(ledger, told(ledger), [], ["2026-11-22T00:03:00.000Z"], None)
    assert (counts["unseen"], counts["rejected_items"], counts["gaps_true"], wrong) == (1, 1, 0, [])


def test_late_plays_that_came_in_order_are_a_true_gap() -> None:
    """What a phone told of late, before anything newer was told, is known to be missing."""
    ledger = [play(0), *(play(n, reachable=False, late=90 - n) for n in range(1, 9)), play(95)]
    counts, _ = account(ledger, told(ledger), [], [], None)
    assert (counts["gaps_true"], counts["unseen"]) == (1, 8)


def test_recorded_gap_needs_a_reason() -> None:
    """One in which nothing is missing is wrong, but for an answer of exactly the next 50 plays."""
    ledger = [play(minute) for minute in range(51)]
    exact = Gap(T, T + MINUTE, T + 51 * MINUTE)
    counts, wrong = account(ledger, told(ledger), [exact], [], None)
    assert (counts["gaps_adjoining"], wrong) == (1, [])
    counts, _ = account(ledger[:40], told(ledger[:40]), [exact], [], None)
    assert counts["gaps_unfounded"] == 1
