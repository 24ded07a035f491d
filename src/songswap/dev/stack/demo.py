"""The command `songswap demo`: the embedded stack, one run of the hourly load, and its result.

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

from songswap import schedule
from songswap.dev.stack.airflow import ADMIN
from songswap.dev.stack.airflow_api import UNFINISHED
from songswap.dev.stack.loopback import URLError
from songswap.dev.stack.plan import WAREHOUSE, make_plan
from songswap.dev.stack.ports import require_ports
from songswap.dev.stack.report import as_table, read_report
from songswap.dev.stack.stack import DAG, Stack
from songswap.dev.stack.state import load_access, load_world, locked, require_room
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
    """The options of the command line.

    once: stop after the first finished run.
    users, seed: how many simulated listeners, and which.
    json: write the report as one JSON object, and nothing else, to standard output.
    state: the folder of all data and logs.
    """

    once: bool = False
    users: int = 25
    seed: int = 1
    json: bool = False
    state: Path = Path(".songswap")


def demo(options: DemoOptions) -> int:
    """Run the demo; return its exit code.

    0: the run succeeded. 1: it failed, or a part of the stack did. 2: nothing was started, the user
    has to change something first. 130: interrupted before the run had ended.
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
                return INTERRUPTED  # the error is a consequence of the interrupt
            return _complain(console, error)


def _complain(console: Console, error: Exception) -> int:
    text = str(error) or type(error).__name__
    console.print(text, style="red", soft_wrap=True)
    if isinstance(error, SettingsError):
        return StartRefused.exit_code
    return error.exit_code if isinstance(error, StackError) else StackError.exit_code


def _demo(options: DemoOptions, folder: Path, console: Console) -> int:
    progress = Progress(console)
    plan = make_plan(os.environ)
    require_extras("airflow", "local")
    require_room(folder)
    if stop_leftovers(folder):
        progress.say("Stopped the processes that an earlier demo had left running.")
    require_ports(plan.started_ports, _command_line(options))
    world = load_world(folder, options.seed, options.users)
    stack = Stack(folder, plan, world, load_access(folder / "s3"), dags())
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
    """Start a run, unless one is under way, and wait for its end; return the report."""
    api = stack.airflow.api
    wait_until(lambda: not _retry(stack, lambda: api.due(DAG)), _PATIENCE_S)
    run = api.current_run(DAG) or api.trigger(DAG)
    with progress.step(f"{DAG}, to its end") as say:
        while (state := _retry(stack, lambda: api.state(DAG, run))) in UNFINISHED:
            say(_task_states(_retry(stack, lambda: api.task_states(DAG, run))))
            stack.require_running()
            time.sleep(_POLL_S)
    if state != "success":
        tasks = _retry(stack, lambda: api.task_states(DAG, run))
        failed = [task for task, state in tasks if state == "failed"]
        progress.say(
            f"The run failed in {', '.join(failed)}. Its logs are in "
            f"{stack.airflow.logs / f'dag_id={DAG}' / f'run_id={run}'}"
        )
    return read_report(stack.warehouse_dsn, run, state)


def _retry(stack: Stack, call: Callable[[], T]) -> T:
    """Call Airflow's API until it responds: on a busy machine it may not for a while.

    Raises:
        StackError: it did not respond within a minute, or a part has ended.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return call()
        except (URLError, ConnectionError, TimeoutError) as error:
            stack.require_running()
            if time.monotonic() > deadline:
                raise StackError(
                    f"Airflow's api-server does not respond: {error}. Its log is in "
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
        console.print(report["problem"], style="red", soft_wrap=True)
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


def _stay_up(stack: Stack, console: Console) -> None:
    """Show the addresses and wait for Ctrl-C.

    Raises:
        StackError: a part has ended.
    """
    _retry(stack, stack.unpause)
    lines = addresses(stack)
    minute = schedule.minute_of(stack.plan.settings)
    lines.append(
        f"The load runs at minute {minute} of every hour; the daily checks and tests, now."
    )
    lines.append("Ctrl-C stops everything.")
    console.print("\n".join(lines), soft_wrap=True)
    while True:
        stack.require_running()
        time.sleep(_POLL_S)


def addresses(stack: Stack) -> list[str]:
    """The addresses of the parts, in lines of at most 80 columns, so that they can be copied."""
    plan = stack.plan
    lines = [
        f"Airflow     {stack.airflow.url}/",
        f"            user {ADMIN}, password {stack.airflow.password}",
        f"            {stack.airflow.url}/plugin/songswap  (how it stands)",
    ]
    if plan.simulated:
        lines.append(f"Spotify     {stack.simulator.url}/  (the simulator)")
        lines.append(f"Discord     {stack.simulator.url}/admin/discord  (messages it received)")
    if plan.local_archive:
        lines.append(f"S3          {stack.objects.url}/")
        lines.append(f"            keys in {_relative(stack.objects.access_file)}")
    lines.append(f"Terminal    . {_relative(stack.environment_file)}")
    lines.append(f"            {_own_command()} status  (or check, backfill)")
    if plan.local_warehouse:
        lines.append(f'            psql "${WAREHOUSE}"')
    return lines


def _command_line(options: DemoOptions) -> str:
    """The command with these options, quoted for a shell."""
    defaults, words = DemoOptions(), [_own_command(), "demo"]
    words += ["--once"] if options.once else []
    words += ["--json"] if options.json else []
    for name in ("users", "seed", "state"):
        if (value := getattr(options, name)) != getattr(defaults, name):
            words += [f"--{name}", shlex.quote(str(value))]
    return " ".join(words)


def _own_command() -> str:
    """This installation's `songswap`, as typed in the working folder."""
    return _relative(Path(sys.executable).with_name("songswap"))


def _relative(path: Path) -> str:
    """A path as typed in the working folder."""
    folder = Path.cwd()
    return shlex.quote(str(path.relative_to(folder) if path.is_relative_to(folder) else path))
