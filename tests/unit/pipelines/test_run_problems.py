"""What went wrong in a run."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from songswap.alerts.problem import Problem
from songswap.pipelines import run_problems
from songswap.pipelines.run_problems import Limits, RunProblem
from songswap.warehouse.runs import Unfinished, UsersFound
from songswap.warehouse.spools import HostSpool, TokenHolder

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOST = Problem("WarehouseUnavailable", "The warehouse was lost.")
PAUSE = RunProblem("fetch 0", Problem("RateLimited", "No more requests until noon."))
LIMITS = Limits(0.2, 3)


def test_step_without_an_end_has_the_problem_of_its_task() -> None:
    """A step that recorded its error keeps it."""
    steps = [
        Unfinished("fetch", 0, "failed", "Spotify is down.", "SpotifyUnavailable"),
        Unfinished("fetch", 1, "failed", "it broke off, its task log says why", None),
        Unfinished("retry", 0, "planned", None, None),
        Unfinished("enrich track", 0, "planned", None, None),
    ]
    known = {
        "batch 0": LOST,
        "batch 1": Problem("KeyError", "KeyError in load.py, line 7"),
        "retry 0": LOST,
    }
    assert list(map(str, run_problems.of_steps(steps, known))) == [
        "fetch 0: Spotify is down.",
        "fetch 1: KeyError in load.py, line 7",
        "retry 0: The warehouse was lost.",
        "enrich track 0: did not end, its task log says why",
    ]


def test_failed_task_of_a_good_step_is_a_problem() -> None:
    """Whatever the steps say, a task failed."""
    assert run_problems.of_steps([], {"plan 0": LOST}) == [RunProblem("plan 0", LOST)]


def test_run_without_a_plan_has_the_kind_of_what_prevented_it() -> None:
    """That kind decides what to do."""
    assert list(run_problems.of_plan(True, [])) == []
    (problem,) = run_problems.of_plan(False, [RunProblem("plan 0", LOST)])
    assert problem.problem.kind == "WarehouseUnavailable"
    (problem,) = run_problems.of_plan(False, [])
    assert problem.problem.kind == "RunFailed"
    assert "never planned: no user was polled" in str(problem)


def test_many_failed_users_are_a_problem_of_the_run() -> None:
    """Few without a usable response are not; many, or all, are."""
    for failed, answered, bad in ((1, 9, False), (2, 6, False), (3, 9, True), (3, 12, False)):
        outcomes = Counter(failed=failed, answered=answered)
        assert bool(list(run_problems.of_outcomes(outcomes, LIMITS))) is bad, outcomes
    assert list(run_problems.of_outcomes(Counter(failed=1), LIMITS))
    assert not list(run_problems.of_outcomes(Counter(), LIMITS))


def test_missing_users_are_counted_and_none_left_is_a_problem() -> None:
    """A few may leave in an hour."""
    for now, before, missing in (
        (80, 100, 0),
        (79, 100, 21),
        (8, 10, 0),
        (7, 10, 3),
        (1, 3, 0),
        (0, 3, 3),
        (0, 2, 0),
        (0, 0, 0),
        (5, 0, 0),
        (101, 100, 0),
    ):
        found = UsersFound(now, before)
        assert run_problems.missing_users(found, LIMITS) == missing, found
        assert bool([*run_problems.of_users(found, LIMITS)]) == (now == 0 < missing), found
    assert run_problems.missing_users(None, LIMITS) == 0
    assert [*run_problems.of_users(None, LIMITS)] == []
    assert run_problems.missing_users(UsersFound(0, 100), Limits(1.0, 3)) == 0, "switched off"


def host(name: str, for_s3: int, to_load: int, tokens: int, *, silent: bool = False) -> HostSpool:
    """A host with what waits there."""
    since = NOON if for_s3 + to_load + tokens else None
    id_, problem = UUID(int=1), "S3 is away."
    return HostSpool(id_, name, NOON, for_s3, to_load, tokens, since, problem, silent)


def test_what_waits_on_any_host_is_a_problem() -> None:
    """It names the host, since when, and the spool's last reason."""
    assert list(run_problems.of_hosts([host("a", 0, 0, 0), host("b", 0, 0, 0, silent=True)])) == []
    (s3,) = run_problems.of_hosts([host("a", 0, 0, 0), host("b", 2, 0, 0)])
    assert s3.problem.kind == "ArchiveError"
    assert "2 responses wait in the spool for S3 and 0 for the warehouse, on host b" in str(s3)
    assert "since 2026-11-22 12:00 UTC: S3 is away. Its next drain stores them." in str(s3)
    (tokens,) = run_problems.of_hosts([host("a", 0, 0, 1)])
    assert "tokens of 1 user wait" in str(tokens)
    both = run_problems.of_hosts([host("a", 1, 1, 1), host("b", 0, 1, 0)])
    assert [item.problem.kind for item in both] == ["RunFailed", "WarehouseError", "RunFailed"]
    assert run_problems.waiting([host("a", 1, 2, 3), host("b", 0, 1, 0)]) == {
        "waiting_for_s3": 1,
        "waiting_for_warehouse": 3,
        "waiting_tokens": 3,
    }


def test_silent_host_says_what_to_do() -> None:
    """Where something waits, or may: start it, or forget it."""
    (problem,) = run_problems.of_hosts([host("a", 0, 1, 0, silent=True)])
    assert "silent since 2026-11-22 12:00 UTC: start it" in str(problem)
    assert "'songswap spool forget a'" in str(problem)
    holders = [TokenHolder("a", NOON, True, 2), TokenHolder("b", NOON, False, 1)]
    (problem,) = run_problems.of_token_holders(holders)
    assert "the tokens of 2 users, and newer ones may be in the spool of host a" in str(problem)
    assert "'songswap spool forget a'" in str(problem)


def test_erasure_that_waits_for_a_host_for_a_day_is_a_problem() -> None:
    """It says what to do; before that it is none, nor where none waits."""
    requested = NOON - timedelta(hours=23)
    silent = host("a", 0, 0, 0, silent=True)._replace(erasures=2, erasing_since=requested)
    hosts = [silent, host("b", 1, 1, 1), silent._replace(host="c", is_silent=False, erasures=1)]
    assert list(run_problems.of_erasures(hosts, NOON)) == []
    first, second = run_problems.of_erasures(hosts, NOON + timedelta(hours=2))
    assert "The erasure of 2 users has been waiting for host a since 2026-11-21 13:00" in str(first)
    assert "silent since 2026-11-22 12:00 UTC: start it" in str(first)
    assert "'songswap spool forget a' ends the wait" in str(first)
    assert "The erasure of 1 user has been waiting for host c" in str(second)
    assert "Its log of 'songswap drain' says why" in str(second)


def test_batch_is_one_task_and_two_steps() -> None:
    """Its task's problem is that of the steps without one, and of its own where there is none."""
    steps = [
        Unfinished("fetch", 3, "failed", "Spotify is down.", "SpotifyUnavailable"),
        Unfinished("load", 3, "planned", None, None),
    ]
    assert list(map(str, run_problems.of_steps(steps, {"batch 3": LOST, "batch 4": LOST}))) == [
        "fetch 3: Spotify is down.",
        "load 3: The warehouse was lost.",
        "batch 4: The warehouse was lost.",
    ]


def test_run_with_nothing_but_a_pause_is_paused() -> None:
    """Anything else fails it; causes are counted."""
    assert run_problems.state_of([]) == "success"
    assert run_problems.state_of([PAUSE, PAUSE]) == "paused"
    assert run_problems.state_of([PAUSE, RunProblem("", LOST)]) == "failed"
    assert run_problems.state_of([RunProblem("", Problem("", "did not end"))]) == "failed"
    many = [RunProblem("load 1", LOST), PAUSE, RunProblem("load 2", LOST)]
    assert run_problems.causes(many) == [tuple(LOST), tuple(PAUSE.problem)]
