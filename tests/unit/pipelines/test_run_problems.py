"""What went wrong in a run."""

from collections import Counter

from songswap.alerts.problem import Problem
from songswap.pipelines import run_problems
from songswap.pipelines.run_problems import Limits, RunProblem
from songswap.warehouse.runs import Unfinished, UsersFound

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
    known = {"fetch 0": LOST, "fetch 1": Problem("KeyError", "KeyError: …"), "retry 0": LOST}
    assert list(map(str, run_problems.of_steps(steps, known))) == [
        "fetch 0: Spotify is down.",
        "fetch 1: KeyError: …",
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


def test_waiting_responses_and_tokens_are_problems() -> None:
    """With the spool's last reason."""
    waiting = {"waiting_for_s3": 0, "waiting_for_warehouse": 0, "waiting_tokens": 0}
    assert list(run_problems.of_waiting(waiting, None)) == []
    (s3,) = run_problems.of_waiting(waiting | {"waiting_for_s3": 2}, "S3 is away.")
    assert s3.problem.kind == "ArchiveError"
    assert "S3 is away." in str(s3)
    (tokens,) = run_problems.of_waiting(waiting | {"waiting_tokens": 1}, None)
    assert "tokens of 1 user wait" in str(tokens)


def test_run_with_nothing_but_a_pause_is_paused() -> None:
    """Anything else fails it; causes are counted."""
    assert run_problems.state_of([]) == "success"
    assert run_problems.state_of([PAUSE, PAUSE]) == "paused"
    assert run_problems.state_of([PAUSE, RunProblem("", LOST)]) == "failed"
    assert run_problems.state_of([RunProblem("", Problem("", "did not end"))]) == "failed"
    many = [RunProblem("load 1", LOST), PAUSE, RunProblem("load 2", LOST)]
    assert run_problems.causes(many) == [tuple(LOST), tuple(PAUSE.problem)]
