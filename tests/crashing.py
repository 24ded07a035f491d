"""Hourly loads in processes of their own, which crash where crash.py is told to."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factories import Platform

SCRIPT = Path(__file__).with_name("crash.py")


@contextmanager
def loading(
    platform: Platform, *arguments: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A load, one user after the other; ``arguments`` as in crash.py."""
    here = {"PATH": os.environ.get("PATH", os.defpath), "SONGSWAP_IN_FLIGHT": "1"}
    process = subprocess.Popen(  # noqa: S603  (our own script)
        [sys.executable, SCRIPT, platform.clock().isoformat(), *arguments],
        env=here | platform.environment() | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(platform: Platform, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code of such a load, and what it said on standard error."""
    with loading(platform, *arguments, **environment) as process:
        _, said = process.communicate(timeout=120)
        return process.returncode, said


def killed(platform: Platform, *boundary: str, **environment: str) -> None:
    """Have such a load killed: WHEN MODULE:FUNCTION NTH."""
    code, said = ended(platform, "kill", *boundary, **environment)
    assert code == -signal.SIGKILL, f"the boundary was not met: {said}"
