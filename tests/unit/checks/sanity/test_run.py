"""The order of a check's steps, and what a failure keeps from running."""

import pytest

from songswap.checks.sanity import run
from songswap.checks.sanity.given import Given, Step, from_environment
from songswap.checks.sanity.run import CHECKS, Seen, run_check
from songswap.clock import utc_now
from songswap.errors import CheckFailed

GIVEN = from_environment({}, "run", utc_now)
NOT_RUN = "Not run: a step before it failed."


def seen(*fail: str) -> list[tuple[str, bool | None]]:
    """What comes of a check with a step that undoes another, when these of its steps fail."""

    def step(name: str, undoes: str | None = None) -> Step:
        def do(_given: Given) -> str:
            if name in fail:
                raise CheckFailed(f"{name} failed.")
            return f"{name} went well."

        return Step(name, do, undoes)

    steps = (step("first"), step("put"), step("read"), step("delete", "put"), step("gone"))
    return [(one.step, one.ok) for one in run_check(steps, GIVEN)]


def test_after_a_failure_only_what_undoes_is_run() -> None:
    """The step that undoes another runs when that one went well, whatever failed in between."""
    well = [("first", True), ("put", True), ("read", True), ("delete", True), ("gone", True)]
    assert seen() == well
    assert seen("read") == [*well[:2], ("read", False), ("delete", True), ("gone", None)]
    assert seen("delete") == [*well[:3], ("delete", False), ("gone", None)]
    undone = [("read", None), ("delete", None), ("gone", None)]
    assert seen("put") == [well[0], ("put", False), *undone]
    assert seen("first") == [("first", False), ("put", None), *undone]


def test_sentences_are_told() -> None:
    """A step's sentence is told, and that of its failure; what was not run says so."""

    def fails(_given: Given) -> str:
        raise CheckFailed("It is broken.")

    steps = (Step("a", lambda _: "It is well."), Step("b", fails), Step("c", lambda _: "Never."))
    assert list(run_check(steps, GIVEN)) == [
        Seen("a", True, "It is well."),
        Seen("b", False, "It is broken."),
        Seen("c", None, NOT_RUN),
    ]


def test_step_by_its_name() -> None:
    """One step is run by the names of its check and itself, and its error is not caught."""
    assert "spotipy" in run.run_step("spotipy", "library", GIVEN)
    with pytest.raises(CheckFailed, match="SPOTIFY_CLIENT_ID"):
        run.run_step("spotipy", "environment", GIVEN)


def test_names_of_steps_are_unique() -> None:
    """Within a check each step has a name of its own, and undoes one before it."""
    for steps in CHECKS.values():
        names = [step.name for step in steps]
        assert len(set(names)) == len(names)
        for place, step in enumerate(steps):
            assert step.undoes is None or step.undoes in names[:place]
