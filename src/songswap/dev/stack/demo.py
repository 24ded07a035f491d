"""The command `songswap demo`: the embedded stack, one run of the hourly load, and what it brought.

    state folder → PostgreSQL → S3, simulator, tables, sign-up → Airflow → run → table → stay up

Ctrl-C, SIGTERM and SIGHUP stop everything within 10 s, at any moment.
"""

import json
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from rich.console import Console

from songswap.dev.stack.airflow import ADMIN
from songswap.dev.stack.airflow_api import UNFINISHED
from songswap.dev.stack.loopback import URLError
from songswap.dev.stack.plan import WAREHOUSE, make_plan
from songswap.dev.stack.ports import require_ports
from songswap.dev.stack.report import as_table, read_report
from songswap.dev.stack.stack import DAG, Stack
from songswap.dev.stack.state import kept_access, kept_world, locked, require_room
from songswap.errors import SettingsError, SongSwapError
from songswap.installation.extras import require_extras
from songswap.installation.project_files import dags
from songswap.supervision.errors import StackError, StartRefused
from songswap.supervision.interrupt import INTERRUPTED, ignore_signals, stoppable
from songswap.supervision.process import stop_leftovers, wait_until
from songswap.terminal.console import Terminal
from songswap.terminal.progress import Progress

T = TypeVar("T")
_POLL_S = 1.0
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class DemoOptions:
    """What the user asked for on the command line.

    once: stop after the first finished run.
    users, seed: how many simulated listeners, and which.
    json: the report as one JSON object on standard output, nothing else there.
    state: the folder that keeps everything.
    """

    once: bool = False
    users: int = 25
    seed: int = 1
    json: bool = False
    state: Path = Path(".songswap")


def demo(options: DemoOptions) -> int:
    """Runs the demo; returns its exit code.

    0: the run was a success. 1: it failed, or a part of the stack did. 2: nothing was started,
    something has to be changed first. 130: interrupted before the run had ended.
    """
    console = Terminal(stderr=True)
    folder = options.state.expanduser().absolute()
    with stoppable() as signals:
        try:
            with locked(folder):
                return _demo(options, folder, console)
        except KeyboardInterrupt:
            return INTERRUPTED
        except (SongSwapError, OSError, aiohttp.ClientError) as error:
            if signals:
                return INTERRUPTED  # what was cut short has failed in its own way
            return _complain(console, error)


def _complain(console: Console, error: Exception) -> int:
    text = str(error) or type(error).__name__
    console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    if isinstance(error, SettingsError):
        return StartRefused.exit_code
    return error.exit_code if isinstance(error, StackError) else StackError.exit_code


def _demo(options: DemoOptions, folder: Path, console: Console) -> int:
    progress = Progress(console)
    plan = make_plan(os.environ)
    require_extras("airflow", "local")
    require_room(folder)
    if stop_leftovers(folder):
        progress.say("Stopped what an earlier demo had left running.")
    require_ports(plan.started_ports, _typed(options))
    world = kept_world(folder, options.seed, options.users)
    stack = Stack(folder, plan, world, kept_access(folder / "s3"), dags())
    try:
        stack.start(progress)
        report = _load(stack, progress)
        _show(report, options, console)
        if not options.once:
            with suppress(KeyboardInterrupt):
                _stay_up(stack, console)
        return 0 if report["state"] == "success" else 1
    finally:
        ignore_signals()
        with progress.step("Stopping everything"):
            stack.stop()


def _load(stack: Stack, progress: Progress) -> dict[str, Any]:
    """Starts a run, unless one is going on, and follows it to its end; returns the report."""
    api = stack.airflow.api
    if _ask(stack, lambda: api.due(DAG)):
        wait_until(lambda: not _ask(stack, lambda: api.due(DAG)), _PATIENCE_S)
    run = api.current_run(DAG) or api.trigger(DAG)
    with progress.step(f"{DAG}, to its end") as say:
        while (state := _ask(stack, lambda: api.state(DAG, run))) in UNFINISHED:
            say(_task_states(_ask(stack, lambda: api.task_states(DAG, run))))
            stack.require_running()
            time.sleep(_POLL_S)
    if state != "success":
        tasks = _ask(stack, lambda: api.task_states(DAG, run))
        failed = [task for task, end in tasks if end == "failed"]
        progress.say(
            f"The run failed in {', '.join(failed)}. Its logs are in "
            f"{stack.airflow.logs / f'dag_id={DAG}' / f'run_id={run}'}"
        )
    return read_report(stack.warehouse_dsn, run, state)


def _ask(stack: Stack, question: Callable[[], T]) -> T:
    """The api-server's answer; on a busy machine it may be silent for a while.

    Raises:
        StackError: it was silent for too long, or a part has ended.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return question()
        except (URLError, ConnectionError, TimeoutError) as error:
            stack.require_running()
            if time.monotonic() > deadline:
                raise StackError(
                    f"Airflow's api-server does not answer: {error}. Its log is in "
                    f"{stack.airflow.logs}."
                ) from error
        time.sleep(_POLL_S)


def _task_states(tasks: list[tuple[str, str]]) -> str:
    counts = Counter(state for _, state in tasks)
    running = [task for task, state in tasks if state == "running"]
    done = f"{counts['success']} of {len(tasks)} tasks done"
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return done + failed + (f", running: {', '.join(running[:4])}" if running else "")


def _show(report: dict[str, Any], options: DemoOptions, console: Console) -> None:
    console.print(as_table(report, in_terminal=console.is_terminal))
    if report["problem"]:
        console.print(report["problem"], style="red", markup=False, highlight=False, soft_wrap=True)
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


def _stay_up(stack: Stack, console: Console) -> None:
    """Shows the addresses and waits for Ctrl-C, or for a part that ends."""
    _ask(stack, stack.unpause)
    lines = addresses(stack)
    lines.append("The load goes on at minute 1 of every hour; the daily checks and tests run now.")
    lines.append("Ctrl-C stops everything.")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    while True:
        stack.require_running()
        time.sleep(_POLL_S)


def addresses(stack: Stack) -> list[str]:
    """Where the parts are reached, a line each that fits 80 columns, so that it can be copied."""
    plan = stack.plan
    lines = [
        f"Airflow     {stack.airflow.url}/",
        f"            user {ADMIN}, password {stack.airflow.password}",
    ]
    if plan.simulated:
        lines.append(f"Spotify     {stack.simulator.url}/  (the simulator)")
        lines.append(f"Discord     {stack.simulator.url}/admin/discord  (what it was sent)")
    if plan.local_archive:
        lines.append(f"S3          {stack.objects.url}/")
        lines.append(f"            keys in {_from_here(stack.objects.access_file)}")
    lines.append(f"Terminal    . {_from_here(stack.environment_file)}")
    lines.append(f"            {_own_command()} status  (or check, backfill)")
    if plan.local_warehouse:
        lines.append(f'            psql "${WAREHOUSE}"')
    return lines


def _typed(options: DemoOptions) -> str:
    """The command that gave these options, as a shell reads it."""
    usual, words = DemoOptions(), [_own_command(), "demo"]
    words += ["--once"] if options.once else []
    words += ["--json"] if options.json else []
    for name in ("users", "seed", "state"):
        if (given := getattr(options, name)) != getattr(usual, name):
            words += [f"--{name}", shlex.quote(str(given))]
    return " ".join(words)


def _own_command() -> str:
    """This installation's `songswap`, as it is typed in the working folder."""
    return _from_here(Path(sys.executable).with_name("songswap"))


def _from_here(path: Path) -> str:
    """A path as it is typed in the working folder."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
