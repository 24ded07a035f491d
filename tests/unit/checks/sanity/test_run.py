"""The order of a check's steps, and which of them a failure skips."""

import pytest

from songswap.checks.sanity import run
from songswap.checks.sanity.context import CheckContext, Step, from_environment
from songswap.checks.sanity.run import CHECKS, StepResult, checks_for, run_check
from songswap.clock import utc_now
from songswap.errors import CheckFailed

CONTEXT = from_environment({}, "run", utc_now)
NOT_RUN = "Not run: a step before it failed."


def outcomes(*fail: str) -> list[tuple[str, bool | None]]:
    """Run five steps, of which `delete` undoes `put` and these fail; return what came of each."""

    def step(name: str, undoes: str | None = None) -> Step:
        def do(_context: CheckContext) -> str:
            if name in fail:
                raise CheckFailed(f"{name} failed.")
            return f"{name} passed."

        return Step(name, do, undoes)

    steps = (step("first"), step("put"), step("read"), step("delete", "put"), step("gone"))
    return [(result.step, result.ok) for result in run_check(steps, CONTEXT)]


def test_step_that_undoes_a_passed_one_runs_after_a_failure() -> None:
    """All other steps after the failure are skipped."""
    passed = [("first", True), ("put", True), ("read", True), ("delete", True), ("gone", True)]
    assert outcomes() == passed
    assert outcomes("read") == [*passed[:2], ("read", False), ("delete", True), ("gone", None)]
    assert outcomes("delete") == [*passed[:3], ("delete", False), ("gone", None)]
    undone = [("read", None), ("delete", None), ("gone", None)]
    assert outcomes("put") == [passed[0], ("put", False), *undone]
    assert outcomes("first") == [("first", False), ("put", None), *undone]


def test_messages_of_steps_and_failures_are_returned() -> None:
    """A skipped step says that it was not run."""

    def fails(_context: CheckContext) -> str:
        raise CheckFailed("It is broken.")

    steps = (Step("a", lambda _: "It is fine."), Step("b", fails), Step("c", lambda _: "Never."))
    assert list(run_check(steps, CONTEXT)) == [
        StepResult("a", True, "It is fine."),
        StepResult("b", False, "It is broken."),
        StepResult("c", None, NOT_RUN),
    ]


def test_run_step_raises_the_error_of_the_step() -> None:
    """The step is found by its check and name."""
    assert "spotipy" in run.run_step("spotipy", "library", CONTEXT)
    with pytest.raises(CheckFailed, match="SPOTIFY_CLIENT_ID"):
        run.run_step("spotipy", "environment", CONTEXT)


def test_names_of_steps_are_unique() -> None:
    """Within a check; and a step undoes one before it."""
    for steps in CHECKS.values():
        names = [step.name for step in steps]
        assert len(set(names)) == len(names)
        for place, step in enumerate(steps):
            assert step.undoes is None or step.undoes in names[:place]


@pytest.mark.parametrize("database", ["", " ", "sqlite://", "sqlite:///:memory:"])
def test_airflow_is_checked_only_where_its_database_is(database: str) -> None:
    """A worker of Celery has one in memory, in which there are no pools and no DAGs."""
    name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    assert checks_for({name: database}).keys() == CHECKS.keys()
    for real in ("sqlite:////opt/airflow/airflow.db", "postgresql+psycopg2://airflow@db/airflow"):
        assert checks_for({name: real}).keys() == {*CHECKS, "airflow"}
