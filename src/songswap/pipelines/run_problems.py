"""Decide at a run's end what went wrong in it, from what is known of its parts: pure.

Each user's last outcome in the run decides, never a sum over tries.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from songswap.alerts.problem import Problem
from songswap.storage.records import Recovery
from songswap.warehouse.runs import Unfinished, UsersFound
from songswap.warehouse.spools import HostSpool, TokenHolder

_PAUSES = {"RateLimited", "QuotaReserved"}
"""The kinds of problems that are no failure: a service asked to wait."""

_LATE = timedelta(days=1)
"""How long an erasure may wait for a host: those that run erase within minutes."""

_STEPS_OF_BATCH = {"fetch", "load"}

_NO_END = Problem("", "did not end, its task log says why")


class RunProblem(NamedTuple):
    """A problem of a run: ``where`` is a step and its number, or empty for the whole run."""

    where: str
    problem: Problem

    def __str__(self) -> str:
        text = self.problem.text
        return f"{self.where}: {text}" if self.where else text


class Limits(NamedTuple):
    """From ``at_least`` users, and above a ``share`` of them, users' failures are the run's."""

    share: float
    at_least: int

    def exceeded(self, failed: int, users: int) -> bool:
        """Whether so many failed users of all are a failure of the run."""
        return failed >= self.at_least and failed > self.share * users


class Facts(NamedTuple):
    """What is known of a run at its end.

    Args:
        unfinished: the steps that failed or never ended.
        known: problems of failed tasks, by task and number ("batch 3").
        is_planned: whether its users were cut into batches.
        refused, forbidden: users whose grants were refused, or who were forbidden; and whether it
            was an incident at Spotify.
        outcomes: users by their last outcome.
        users: how many users the run found; None for a run of some users only.
        spools: of all hosts, with what waits in them.
        token_holders: hosts that may have the newest tokens of refused users, who are undecided.
        recoveries: broken spool files of this host that were put aside.
        now: when it ends.
    """

    unfinished: Sequence[Unfinished]
    known: Mapping[str, Problem]
    is_planned: bool
    refused: tuple[int, bool]
    forbidden: tuple[int, bool]
    outcomes: Counter[str]
    users: UsersFound | None
    spools: Sequence[HostSpool]
    token_holders: Sequence[TokenHolder]
    recoveries: Sequence[Recovery]
    now: datetime


def find(facts: Facts, limits: Limits, lost_users: Limits) -> list[RunProblem]:
    """All problems of a run, those of its steps first.

    Args:
        limits: for users who failed.
        lost_users: for users fewer than in the run before.
    """
    steps = of_steps(facts.unfinished, facts.known)
    return [
        *steps,
        *of_plan(facts.is_planned, steps),
        *of_refusals(*facts.refused),
        *of_forbidden(*facts.forbidden),
        *of_outcomes(facts.outcomes, limits),
        *of_users(facts.users, lost_users),
        *of_hosts(facts.spools),
        *of_erasures(facts.spools, facts.now),
        *of_token_holders(facts.token_holders),
        *of_recoveries(facts.recoveries),
    ]


def of_steps(unfinished: Iterable[Unfinished], known: Mapping[str, Problem]) -> list[RunProblem]:
    """Steps that did not end well, and tasks that failed although their step did.

    A batch is one task (``batch 3``) and two steps.
    """
    left = dict(known)
    problems = []
    for step in unfinished:
        where = f"{step.step} {step.number}"
        task = f"batch {step.number}" if step.step in _STEPS_OF_BATCH else where
        recorded = Problem(step.kind or "", step.problem) if step.problem else _NO_END
        of_task = known.get(task, recorded)
        left.pop(task, None)
        problems.append(RunProblem(where, recorded if step.kind else of_task))
    return problems + [RunProblem(where, problem) for where, problem in left.items()]


def of_plan(is_planned: bool, others: Iterable[RunProblem]) -> Iterator[RunProblem]:
    """No user was polled; of the kind of what prevented it, which decides what to do."""
    if not is_planned:
        kinds = [other.problem.kind for other in others if other.problem.kind]
        yield _of_run(
            kinds[0] if kinds else "RunFailed",
            "This run was never planned: no user was polled. The next run polls all.",
        )


def missing_users(found: UsersFound | None, limits: Limits) -> int:
    """How many users fewer than before a run found, where that is more than leave in an hour."""
    lost = found.before - found.now if found else 0
    return lost if found and limits.exceeded(lost, found.before) else 0


def of_users(found: UsersFound | None, limits: Limits) -> Iterator[RunProblem]:
    """All users are gone: a run without users is otherwise a good one."""
    if found and not found.now and missing_users(found, limits):
        yield _of_run(
            "WarehouseError",
            f"None of the {found.before:,} users of an earlier run has tokens in the warehouse"
            " now, and no user was polled. Check that SongSwap_RDS leads to the right database and"
            ' schema, and what happened to "Users" and "SpotifyTokens".',
        )


def of_outcomes(by_outcome: Counter[str], limits: Limits) -> Iterator[RunProblem]:
    """Too few users had a usable response."""
    polled, failed = by_outcome.total(), by_outcome["failed"]
    if limits.exceeded(failed, polled) or 0 < failed == polled:
        yield _of_run(
            "SpotifyUnavailable",
            f"Spotify gave no usable response for {failed} of {polled} users. Nothing is lost yet:"
            " the next run asks again. If it lasts, look at Spotify's status page.",
        )


def of_refusals(refused: int, incident: bool) -> Iterator[RunProblem]:
    """Spotify refused grants as it does in an outage."""
    if incident:
        yield _of_run(
            "InvalidGrant",
            f"Spotify refused the grants of {refused} users at once. This looks like an incident at"
            " Spotify: no grant was marked as dead, the next run asks again.",
        )


def of_forbidden(users: int, incident: bool) -> Iterator[RunProblem]:
    """Spotify forbade users as it does when the app itself has lost its right."""
    if incident:
        yield _of_run(
            "Forbidden",
            f"Spotify forbade {users} users at once (403). This looks like an incident, or the"
            " subscription of the app's owner has lapsed: no user is paused, the next run polls"
            " all of them again. In development mode only five users may be polled.",
        )


def of_recoveries(recoveries: Iterable[object]) -> Iterator[RunProblem]:
    """The spool's disk lost something."""
    for recovery in recoveries:
        yield _of_run("SpoolError", str(recovery))


def waiting(spools: Iterable[HostSpool]) -> dict[str, int]:
    """Count what waits on all hosts, by ``waiting_for_s3`` and its like."""
    every = list(spools)
    return {
        "waiting_for_s3": sum(spool.waiting_for_s3 for spool in every),
        "waiting_for_warehouse": sum(spool.waiting_for_warehouse for spool in every),
        "waiting_tokens": sum(spool.waiting_tokens for spool in every),
    }


def of_hosts(spools: Iterable[HostSpool]) -> Iterator[RunProblem]:
    """Something is still in the spool of a host."""
    for spool in spools:
        since = f"since {spool.waiting_since:%Y-%m-%d %H:%M} UTC" if spool.waiting_since else ""
        reason = spool.problem or "see the steps before"
        after = f"{reason.rstrip('.')}. {_next_drain(spool.host, spool.seen_at, spool.is_silent)}"
        to_archive, to_load = spool.waiting_for_s3, spool.waiting_for_warehouse
        if to_archive or to_load:
            yield _of_run(
                "RunFailed" if to_load else "ArchiveError",
                f"{to_archive} responses wait in the spool for S3 and {to_load} for the warehouse,"
                f" on host {spool.host} {since}: {after}",
            )
        if spool.waiting_tokens:
            yield _of_run(
                "WarehouseError",
                f"New tokens of {_users(spool.waiting_tokens)} wait in the spool for the"
                f" warehouse, on host {spool.host} {since}: {after}",
            )


def of_token_holders(holders: Iterable[TokenHolder]) -> Iterator[RunProblem]:
    """Users cannot be polled, because a silent host may have their tokens."""
    for holder in holders:
        if holder.is_silent:
            yield _of_run(
                "WarehouseError",
                f"Spotify refused the tokens of {_users(holder.users)}, and newer ones may be in"
                f" the spool of host {holder.host}: nobody of them is marked as lost."
                f" {_next_drain(holder.host, holder.seen_at, is_silent=True)}",
            )


def of_erasures(spools: Iterable[HostSpool], now: datetime) -> Iterator[RunProblem]:
    """Erased users may be on the disk of a host, which has not confirmed the contrary for a day."""
    for spool in spools:
        if spool.erasing_since and now - spool.erasing_since > _LATE:
            yield _of_run(
                "SpoolError",
                f"The erasure of {_users(spool.erasures)} has been waiting for host {spool.host}"
                f" since {spool.erasing_since:%Y-%m-%d %H:%M} UTC: its spool may hold responses"
                f" and tokens of them. {_next_erasure(spool)}",
            )


def _next_erasure(spool: HostSpool) -> str:
    if not spool.is_silent:
        return "Its log of 'songswap drain' says why it does not confirm it."
    return (
        f"That host has been silent since {spool.seen_at:%Y-%m-%d %H:%M} UTC: start it, or its"
        f" service 'songswap drain', which erases them first. If its disk is gone, 'songswap spool"
        f" forget {spool.host}' ends the wait."
    )


def _next_drain(host: str, seen_at: datetime, is_silent: bool) -> str:
    if not is_silent:
        return "Its next drain stores them."
    return (
        f"That host has been silent since {seen_at:%Y-%m-%d %H:%M} UTC: start it, or its service"
        f" 'songswap drain', which stores them. If its disk is gone, 'songswap spool forget {host}'"
        " says what is lost with it."
    )


def _users(number: int) -> str:
    return "1 user" if number == 1 else f"{number} users"


def state_of(problems: Iterable[RunProblem]) -> str:
    """``success``, ``paused`` when nothing is wrong but a pause, or ``failed``."""
    kinds = {item.problem.kind for item in problems}
    if not kinds:
        return "success"
    return "paused" if kinds <= _PAUSES else "failed"


def pauses(problems: Iterable[RunProblem]) -> list[str]:
    """The sentences of the pauses among problems."""
    return [item.problem.text for item in problems if item.problem.kind in _PAUSES]


def causes(problems: Iterable[RunProblem]) -> list[tuple[str, str]]:
    """The causes of problems, each once, the most frequent first: kinds and sentences."""
    counted = Counter(item.problem for item in problems).most_common()
    return [(problem.kind, problem.text) for problem, _ in counted]


def _of_run(kind: str, text: str) -> RunProblem:
    return RunProblem("", Problem(kind, text))
