"""The simulator as a program: how it starts, stops, and refuses options."""

import http.client
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

COMMAND = [sys.executable, "-m", "songswap.dev.simulator"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_program_prints_its_address_and_stops_at_a_signal(
    number: signal.Signals, in_background: list[str]
) -> None:
    """It prints one line, its exit code is 0, and standard error is empty."""
    with subprocess.Popen(  # noqa: S603 - our own program
        [*in_background, *COMMAND, "--port", "0", "--users", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        url = program.stdout.readline().strip()
        address = urlsplit(url).netloc
        admin = http.client.HTTPConnection(address, timeout=60)
        admin.request("GET", "/admin/health")
        assert admin.getresponse().status == 200
        admin.close()
        second = subprocess.run(  # noqa: S603 - our own program
            [*COMMAND, "--port", url.rpartition(":")[2]],
            capture_output=True,
            text=True,
            check=False,
        )
        program.send_signal(number)
        assert program.wait(timeout=60) == 0
        assert program.stdout.read() == ""
        assert program.stderr.read() == ""
    assert second.returncode == 2
    assert second.stdout == ""
    assert second.stderr.count("\n") == 1
    assert "is in use by another program" in second.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--clock", "frozen"], "a frozen clock needs --now"),
        (["--users", "-1"], "--users"),
        (["--now", "tomorrow"], "no ISO 8601 time"),
        (["--recorded", "x"], "not NAME=FILE"),
        (["--port", "0", "--recorded", "x=/proc/none"], "/proc/none is no recently-played"),
        (["--port", "0", "--discord-log", "/proc/none/log"], "No such file or directory"),
    ],
)
def test_wrong_options_are_refused(options: list[str], sentence: str) -> None:
    """The exit code is 2, and a sentence says why."""
    done = subprocess.run(  # noqa: S603 - our own program
        [*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
