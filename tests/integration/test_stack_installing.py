"""An installation as a step of a log or in a terminal, with a command that we write."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from songswap.dev.stack.installing import install

SOURCES = Path(__file__).parents[2] / "src"
TELLS = """
import sys
for line in ("Resolved 3 packages in 2s", "Installed 3 packages in 1s", " + aiohttp==3"):
    print(line, file=sys.stderr, flush=True)
"""
# Ends when it hears that the sign of life was seen.
SILENT = TELLS + "sys.stdin.read()"


class Terminal(io.StringIO):
    """A stream that says to be a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


def python(code: str) -> list[str]:
    """The command that runs some code."""
    return [sys.executable, "-c", code]


def test_a_log_gets_one_line() -> None:
    """Ended with "done"; of what uv says nothing."""
    stream = io.StringIO()
    assert install("Installing", python(TELLS), stream) == 0
    assert re.fullmatch(r"\S+Z Installing … done \(\d+\.\d s\)\n", stream.getvalue())


def test_a_failure_shows_what_was_written() -> None:
    """All of it, below the step, and the exit code is the command's."""
    for stream in (io.StringIO(), Terminal()):
        code = install("Installing", python(TELLS + "sys.exit('no such package')"), stream)
        assert code == 1
        assert "Resolved 3 packages in 2s" in stream.getvalue()
        assert "no such package\n" in stream.getvalue()


def test_a_terminal_is_shown_the_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they come, without the two hundred packages."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    assert install("Installing", python(TELLS), stream) == 0
    assert stream.getvalue().startswith("Installing …\n")
    assert "  Resolved 3 packages in 2s\n" in stream.getvalue()
    assert "aiohttp" not in stream.getvalue()


def test_silence_is_broken_while_packages_are_compiled() -> None:
    """The program that `make` runs, with no package: each sign says what it is at."""
    code = (
        "import sys; from songswap.dev.stack.installing import install;"
        f"sys.exit(install('Installing', [sys.executable, '-c', {SILENT!r}], sys.stderr, 0.05))"
    )
    with subprocess.Popen(  # noqa: S603  (our code)
        [sys.executable, "-S", "-c", code],
        env={"PATH": os.defpath, "PYTHONPATH": str(SOURCES)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        assert program.stdin is not None
        assert program.stderr is not None
        said = b""
        while b"compiling, " not in said:
            said += (read := os.read(program.stderr.fileno(), 1024))
            assert read, said
        program.stdin.close()
        said += program.stderr.read()
    assert program.returncode == 0
    assert said.count(b"\n") == 1
    assert re.search(rb" done \(\d+\.\d s\)\n$", said)
