"""All checks by name: run a single step (Airflow) or a whole check (a terminal)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from songswap.checks.sanity import airflow, discord, postgres, s3, spotipy
from songswap.checks.sanity.context import CheckContext, Step
from songswap.errors import SongSwapError

CHECKS = {
    "discord": discord.STEPS,
    "postgres": postgres.STEPS,
    "s3": s3.STEPS,
    "spotipy": spotipy.STEPS,
}
"""The checks of services, which any host can run."""

OF_AIRFLOW = {"airflow": airflow.STEPS}
"""The check that needs Airflow's metadata database."""


def checks_for(environment: Mapping[str, str]) -> dict[str, Sequence[Step]]:
    """Return the checks that a process with this environment can run, by name."""
    return {**CHECKS, **(OF_AIRFLOW if airflow.is_reachable(environment) else {})}


class StepResult(NamedTuple):
    """What a step found, or what to do about its failure; ``ok`` is None where it was not run."""

    step: str
    ok: bool | None
    message: str


def run_step(check: str, step: str, context: CheckContext) -> str:
    """Run one step and return what it found, in a sentence.

    Raises:
        SongSwapError: the step failed; the message says what to set or fix, and where.
    """
    return next(known.run for known in CHECKS[check] if known.name == step)(context)


def run_check(steps: Sequence[Step], context: CheckContext) -> Iterator[StepResult]:
    """Run the steps of a check in order; after a failure, only those that undo a passed step."""
    failed, passed = False, set()
    for step in steps:
        if failed and step.undoes not in passed:
            yield StepResult(step.name, None, "Not run: a step before it failed.")
            continue
        try:
            message = step.run(context)
        except SongSwapError as error:
            failed = True
            yield StepResult(step.name, False, str(error))
        else:
            passed.add(step.name)
            yield StepResult(step.name, True, message)
