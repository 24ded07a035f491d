"""Runs a command of an installation as a step, and shows progress while it is silent.

    python -m songswap.dev.stack.installing TITLE COMMAND...

uv is silent while it downloads, unpacks and compiles two hundred packages: for half a minute, or
several on a slow disk. A terminal shows its lines as they come; in a log the step is one line. The
output of a command that fails is shown in full. Imports the standard library alone, because it
installs everything else.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from types import FrameType
from typing import IO

from songswap.terminal.step_log import SILENCE_S, StepLog

_REFRESH_S = 1.0
# The phase that follows an output line of uv, by the line's first word.
_NEXT = {"Resolved": "downloading", "Prepared": "unpacking", "Installed": "compiling"}
_ONE_PACKAGE = (" - ", " + ", " ~ ")
_CLEAR = "\r\x1b[K"
Child = subprocess.Popen[str]


class _Failed(Exception):
    """The command ended with another code than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def install(
    title: str, command: Sequence[str], stream: IO[str], silence_s: float = SILENCE_S
) -> int:
    """Run a command; return its exit code.

    Args:
        title: the name of the step.
        command: the program and its arguments.
        stream: the output; live when it is a terminal.
        silence_s: seconds between two signs of life in a log.
    """
    with subprocess.Popen(  # noqa: S603  (what our Makefile says)
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        try:
            if stream.isatty() and os.environ.get("TERM") != "dumb":
                _live(title, child, stream)
            else:
                _logged(title, child, StepLog(stream, silence_s), stream)
        except _Failed as error:
            return error.code
        finally:
            child.terminate()
    return 0


def _logged(title: str, child: Child, log: StepLog, stream: IO[str]) -> None:
    written: list[str] = []
    try:
        with log.step(title) as say:
            for line in child.stdout or ():
                written.append(line)
                if doing := _NEXT.get(line.partition(" ")[0]):
                    say(doing)
            _require_success(child)
    except _Failed:
        stream.writelines(written)
        raise


def _live(title: str, child: Child, stream: IO[str]) -> None:
    """Show each line, and below it the current phase and the seconds so far."""
    lines: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=_read, args=(child, lines.put), daemon=True).start()
    stream.write(f"{title} …\n")
    started, doing = time.monotonic(), "at work"
    while True:
        stream.write(f"{_CLEAR}  … {doing}, {time.monotonic() - started:.0f} s")
        stream.flush()
        try:
            line = lines.get(timeout=_REFRESH_S)
        except Empty:
            continue
        if line is None:
            break
        doing = _NEXT.get(line.partition(" ")[0], doing)
        if not line.startswith(_ONE_PACKAGE):
            stream.write(f"{_CLEAR}  {line}")
    stream.write(_CLEAR)
    stream.flush()
    _require_success(child)


def _read(child: Child, put: Callable[[str | None], None]) -> None:
    for line in child.stdout or ():
        put(line)
    put(None)


def _require_success(child: Child) -> None:
    if code := child.wait():
        raise _Failed(code)


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # it was for this program
    signal.signal(signal.SIGTERM, _stop)  # so that the command ends too
    try:
        sys.exit(install(sys.argv[1], sys.argv[2:], sys.stderr))
    except KeyboardInterrupt:
        sys.exit(130)
