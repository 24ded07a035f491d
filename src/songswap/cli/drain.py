"""``songswap drain``: store what waits in this host's spool, once or every few minutes."""

import logging
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songswap.cli.command import new_run_id
from songswap.errors import SongSwapError
from songswap.terminal.console import JsonOption, err, log_to_stderr, print_json

if TYPE_CHECKING:
    from songswap.pipelines.drain import Drained
    from songswap.settings import Settings

log = logging.getLogger(__name__)

_LOOKS = 10
"""How often the spool is looked into between two drains: with --every 10 each minute."""


def drain(
    every: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            # Who has not reported for 30 minutes counts as silent.
            max=20,
            metavar="MINUTES",
            help="Go on until SIGTERM: at once, then so often; what a killed process left, sooner.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Store what waits in this host's spool: in S3 and in the warehouse; report what waits still.

    Each host with a worker needs it beside the worker, with --every 10: what waits on a host that
    gets no batch is stored too, and the others learn that the host is alive. It leaves what the
    batches in progress on this host are working on.

    Reads the settings from the environment, see .env.example. Without --every it exits with 1 if
    something still waits.
    """
    from songswap import settings
    from songswap.supervision.interrupt import stoppable

    log_to_stderr()
    config = settings.from_environment(os.environ)
    if every is None:
        drained = _drain(config)
        _show(config, drained, as_json)
        raise typer.Exit(int(drained.waiting.is_any()))
    with stoppable():
        try:
            _drain_forever(config, every * 60, as_json)
        except KeyboardInterrupt:
            log.info("Stopped. What waits in the spool stays.")


def _drain(config: "Settings") -> "Drained":
    from songswap.pipelines.drain import drain as drain_spool

    return drain_spool(config, new_run_id("drain"))


def _drain_forever(config: "Settings", pause_s: float, as_json: bool) -> None:
    """Drain again and again; a service that is away is met again the next time."""
    while True:
        try:
            drained = _drain(config)
        except SongSwapError as error:
            log.error("Not drained, tried again within %d min: %s", pause_s // 60, error)  # noqa: TRY400 - a sentence
        else:
            _show(config, drained, as_json)
        _wait(config, pause_s)


def _wait(config: "Settings", pause_s: float) -> None:
    """Wait for the next drain: shorter where a killed process left something.

    Runs are red for what waits, so it is stored before the run in which it was left has ended.
    """
    from songswap.pipelines.drain import has_untried

    due = time.monotonic() + pause_s
    while (rest_s := due - time.monotonic()) > 0:
        time.sleep(min(rest_s, pause_s / _LOOKS))
        try:
            if has_untried(config):
                return
        except SongSwapError as error:
            log.error("%s", error)  # noqa: TRY400 - a sentence
            return


def _show(config: "Settings", drained: "Drained", as_json: bool) -> None:
    if as_json:
        print_json(_report(config, drained))
        return
    # A drain that found nothing has no count of what it loaded.
    counts, waiting = Counter(drained.counts), drained.waiting
    err.say(
        f"Host {config.host}: {counts['retried_archived']:,} responses were archived,"
        f" {counts['retried_loaded']:,} loaded, and the tokens of {counts['tokens_stored']:,} users"
        f" stored. Still waiting: {waiting.for_s3:,} for S3, {waiting.for_warehouse:,} for the"
        f" warehouse, the tokens of {waiting.tokens:,} users."
    )
    if waiting.is_any() and waiting.problem:
        err.say(waiting.problem)


def _report(config: "Settings", drained: "Drained") -> dict[str, Any]:
    from songswap.pipelines import run_counts

    return {
        "host": config.host,
        "counts": run_counts.as_json(drained.counts),
        "waiting_for_s3": drained.waiting.for_s3,
        "waiting_for_warehouse": drained.waiting.for_warehouse,
        "waiting_tokens": drained.waiting.tokens,
        "problem": drained.waiting.problem if drained.waiting.is_any() else None,
    }
