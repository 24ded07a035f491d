"""All checks, by name; one step at a time for Airflow, or a whole check for a terminal."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from songswap.checks.sanity import discord, postgres, s3, spotipy
from songswap.checks.sanity.given import Given, Step
from songswap.errors import SongSwapError

CHECKS = {
    "discord": discord.STEPS,
    "postgres": postgres.STEPS,
    "s3": s3.STEPS,
    "spotipy": spotipy.STEPS,
}


class Seen(NamedTuple):
    """What a step saw, or what is to be done; ``ok`` is None where it was not run."""

    step: str
    ok: bool | None
    told: str


def run_step(check: str, step: str, given: Given) -> str:
    """Run one step; gives a sentence of what it saw.

    Raises:
        SongSwapError: it failed; the sentence says what to set or mend, and where.
    """
    return next(one for one in CHECKS[check] if one.name == step).run(given)


def run_check(steps: Sequence[Step], given: Given) -> Iterator[Seen]:
    """Run the steps of a check in their order; after a failure only what undoes is run."""
    failed, well = False, set()
    for step in steps:
        if failed and step.undoes not in well:
            yield Seen(step.name, None, "Not run: a step before it failed.")
            continue
        try:
            told = step.run(given)
        except SongSwapError as error:
            failed = True
            yield Seen(step.name, False, str(error))
        else:
            well.add(step.name)
            yield Seen(step.name, True, told)
