"""Whether a run was a good one."""

from collections import Counter

from songswap.alerts.problem import Problem
from songswap.pipelines import judgement
from songswap.pipelines.judgement import Limits, Trouble
from songswap.warehouse.runs import Unfinished, UsersFound

LOST = Problem("WarehouseUnavailable", "The warehouse was lost.")
PAUSE = Trouble("fetch 0", Problem("RateLimited", "No more requests until noon."))
LIMITS = Limits(0.2, 3)


def test_step_without_an_end_has_the_problem_of_its_task() -> None:
    """One that recorded its end has its own."""
    steps = [
        Unfinished("fetch", 0, "failed", "Spotify is down.", "SpotifyUnavailable"),
        Unfinished("fetch", 1, "failed", "it broke off, its task log says why", None),
        Unfinished("retry", 0, "planned", None, None),
        Unfinished("enrich track", 0, "planned", None, None),
    ]
    known = {"fetch 0": LOST, "fetch 1": Problem("KeyError", "KeyError: …"), "retry 0": LOST}
    assert list(map(str, judgement.of_steps(steps, known))) == [
        "fetch 0: Spotify is down.",
        "fetch 1: KeyError: …",
        "retry 0: The warehouse was lost.",
        "enrich track 0: did not end, its task log says why",
    ]


def test_failed_task_is_a_problem_whatever_its_steps_say() -> None:
    assert judgement.of_steps([], {"plan 0": LOST}) == [Trouble("plan 0", LOST)]


def test_run_without_a_plan() -> None:
    """Nobody was asked: what kept the run from it says what is to be done."""
    assert list(judgement.of_the_plan(True, [])) == []
    (trouble,) = judgement.of_the_plan(False, [Trouble("plan 0", LOST)])
    assert trouble.problem.kind == "WarehouseUnavailable"
    (trouble,) = judgement.of_the_plan(False, [])
    assert trouble.problem.kind == "RunFailed"
    assert "never planned: nobody was asked" in str(trouble)


def test_outcomes_of_users() -> None:
    """Few users without an answer are theirs; many, or all, are a trouble of the run."""
    for failed, answered, bad in ((1, 9, False), (2, 6, False), (3, 9, True), (3, 12, False)):
        outcomes = Counter(failed=failed, answered=answered)
        assert bool(list(judgement.of_outcomes(outcomes, LIMITS))) is bad, outcomes
    assert list(judgement.of_outcomes(Counter(failed=1), LIMITS))
    assert not list(judgement.of_outcomes(Counter(), LIMITS))


def test_missing_users_are_counted_and_none_left_is_a_problem() -> None:
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
        assert judgement.missing_users(found, LIMITS) == missing, found
        assert bool([*judgement.of_users(found, LIMITS)]) == (now == 0 < missing), found
    assert judgement.missing_users(None, LIMITS) == 0
    assert [*judgement.of_users(None, LIMITS)] == []
    assert judgement.missing_users(UsersFound(0, 100), Limits(1.0, 3)) == 0, "switched off"


def test_spooled_responses_and_tokens_are_problems() -> None:
    waiting = {"waiting_for_s3": 0, "waiting_for_warehouse": 0, "waiting_tokens": 0}
    assert list(judgement.of_what_waits(waiting, None)) == []
    (s3,) = judgement.of_what_waits(waiting | {"waiting_for_s3": 2}, "S3 is away.")
    assert s3.problem.kind == "ArchiveError"
    assert "S3 is away." in str(s3)
    (tokens,) = judgement.of_what_waits(waiting | {"waiting_tokens": 1}, None)
    assert "tokens of 1 user wait" in str(tokens)


def test_pause_alone_is_no_failure() -> None:
    """A run is paused when nothing else is wrong with it."""
    assert judgement.state_of([]) == "success"
    assert judgement.state_of([PAUSE, PAUSE]) == "paused"
    assert judgement.state_of([PAUSE, Trouble("", LOST)]) == "failed"
    assert judgement.state_of([Trouble("", Problem("", "did not end"))]) == "failed"
    many = [Trouble("load 1", LOST), PAUSE, Trouble("load 2", LOST)]
    assert judgement.causes(many) == [tuple(LOST), tuple(PAUSE.problem)]
