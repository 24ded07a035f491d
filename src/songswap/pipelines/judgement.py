"""Whether a run was a good one, from what is known of its parts at its end: pure.

What decides is each user's last outcome in the run, never a sum over tries.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from songswap.alerts.problem import Problem
from songswap.warehouse.runs import Unfinished, UsersFound

PAUSES = {"RateLimited", "QuotaReserved"}
"""The kinds of problems that are no failure: somebody asked to wait."""

_NO_END = Problem("", "did not end, its task log says why")


class Trouble(NamedTuple):
    """Something that did not happen in a run: in a step and number, or (empty) in all of it."""

    where: str
    problem: Problem

    def __str__(self) -> str:
        text = self.problem.text
        return f"{self.where}: {text}" if self.where else text


class Limits(NamedTuple):
    """Users' troubles are everybody's from ``at_least`` users and above a ``share`` of them on."""

    share: float
    at_least: int


def of_steps(unfinished: Iterable[Unfinished], known: Mapping[str, Problem]) -> list[Trouble]:
    """The troubles of steps that did not end well, and of tasks that failed all the same.

    Args:
        known: what whoever ran the steps knows of those that failed, by step and number.
    """
    left = dict(known)
    troubles = []
    for step in unfinished:
        where = f"{step.step} {step.number}"
        noted = Problem(step.kind or "", step.problem) if step.problem else _NO_END
        seen = left.pop(where, noted)
        troubles.append(Trouble(where, noted if step.kind else seen))
    return troubles + [Trouble(where, problem) for where, problem in left.items()]


def of_the_plan(planned: bool, others: Iterable[Trouble]) -> Iterator[Trouble]:
    """The trouble that nobody was asked for; what kept the run from it says what is to be done."""
    if not planned:
        kinds = [one.problem.kind for one in others if one.problem.kind]
        yield Trouble(
            "",
            Problem(
                kinds[0] if kinds else "RunFailed",
                "This run was never planned: nobody was asked for. The next run asks for all.",
            ),
        )


def missing_users(found: UsersFound | None, limits: Limits) -> int:
    """How many users fewer than before a run found, where that is more than leave in an hour."""
    lost = found.before - found.now if found else 0
    many = found and lost >= limits.at_least and lost > limits.share * found.before
    return lost if many else 0


def of_users(found: UsersFound | None, limits: Limits) -> Iterator[Trouble]:
    """The trouble that nobody is there any more: a run without users is otherwise a good one."""
    if found and not found.now and missing_users(found, limits):
        yield Trouble(
            "",
            Problem(
                "WarehouseError",
                f"None of the {found.before:,} users of an earlier run has tokens in the warehouse"
                " now, and nobody was asked for. Look whether SongSwap_RDS leads to the right"
                ' database and schema, and what became of "Users" and "SpotifyTokens".',
            ),
        )


def of_outcomes(outcomes: Counter[str], limits: Limits) -> Iterator[Trouble]:
    """The trouble that Spotify answered to too few users."""
    asked, failed = outcomes.total(), outcomes["failed"]
    many = failed >= limits.at_least and failed > limits.share * asked
    if many or 0 < failed == asked:
        yield Trouble(
            "",
            Problem(
                "SpotifyUnavailable",
                f"Spotify gave no usable answer for {failed} of {asked} users. Nothing is lost"
                " yet: the next run asks again. If it lasts, look at Spotify's status page.",
            ),
        )


def of_refusals(refused: int, incident: bool) -> Iterator[Trouble]:
    """The trouble that Spotify refused grants as it does in an outage."""
    if incident:
        yield Trouble(
            "",
            Problem(
                "InvalidGrant",
                f"Spotify refused the grants of {refused} users at once. This looks like an"
                " incident at Spotify: nobody's grant was taken for dead, the next run asks again.",
            ),
        )


def of_forbidden(forbidden: int, incident: bool) -> Iterator[Trouble]:
    """The trouble that Spotify forbade users as it does when the app itself has lost its right."""
    if incident:
        yield Trouble(
            "",
            Problem(
                "Forbidden",
                f"Spotify forbade {forbidden} users at once (403). This looks like an incident, or"
                " the subscription of the app's owner has lapsed: nobody rests, the next run asks"
                " everybody again. In development mode only five users may be asked for.",
            ),
        )


def of_the_spool(damaged: int, recoveries: Iterable[object]) -> Iterator[Trouble]:
    """The trouble that the spool's disk lost something.

    Args:
        damaged: users whose tokens there are damaged.
        recoveries: broken files that were put aside, each in a sentence.
    """
    if damaged:
        yield Trouble(
            "",
            Problem(
                "SpoolError",
                f"The tokens of {damaged} users in the spool are damaged and cannot be used."
                " 'songswap spool list' names the users, 'songswap spool drop --damaged-tokens'"
                " takes them out.",
            ),
        )
    for recovery in recoveries:
        yield Trouble("", Problem("SpoolError", str(recovery)))


def of_what_waits(waiting: Mapping[str, int], reason: str | None) -> Iterator[Trouble]:
    """The trouble that something is still in the spool.

    Args:
        waiting: as ``waiting_for_s3``, ``waiting_for_warehouse`` and ``waiting_tokens``.
        reason: why the answer that was tried last could not leave.
    """
    to_archive, to_load = waiting["waiting_for_s3"], waiting["waiting_for_warehouse"]
    if to_archive or to_load:
        yield Trouble(
            "",
            Problem(
                "RunFailed" if to_load else "ArchiveError",
                f"{to_archive} answers wait in the spool for S3 and {to_load} for the warehouse:"
                f" {reason or 'see the steps before'}. The next run retries them.",
            ),
        )
    if tokens := waiting["waiting_tokens"]:
        yield Trouble(
            "",
            Problem(
                "WarehouseError",
                f"New tokens of {tokens} {'user' if tokens == 1 else 'users'} wait in the spool for"
                " the warehouse. The next run stores them.",
            ),
        )


def state_of(troubles: Iterable[Trouble]) -> str:
    """``success``, ``paused`` when nothing else is wrong than a pause, or ``failed``."""
    kinds = {one.problem.kind for one in troubles}
    if not kinds:
        return "success"
    return "paused" if kinds <= PAUSES else "failed"


def causes(troubles: Iterable[Trouble]) -> list[tuple[str, str]]:
    """What troubles come of, each once, the most frequent first: kinds and sentences."""
    counted = Counter(one.problem for one in troubles).most_common()
    return [(problem.kind, problem.text) for problem, _ in counted]
