"""`make fuzz`: new seeds each round, and an end at the first failure with how to see it again."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROFILES = ("-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest")
"""What tests in another folder have to be told, and those in this one know."""
FUZZ = [sys.executable, str(ROOT / "tests/fuzz.py"), "--minutes", "0", *PROFILES]

RARE = """
from examples import examples
from hypothesis import given, settings, strategies as st

@settings(max_examples=examples(0.5))
@given(st.integers(0, 300))
def test_rare(number):
    assert number != 234
"""


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_failure_is_found_again_by_the_printed_command(tmp_path: Path) -> None:
    """Also one that the suite does not find."""
    file = tmp_path / "test_rare.py"
    file.write_text(RARE)
    found = run([*FUZZ, str(file)])
    assert found.returncode == 1, found.stdout + found.stderr
    assert "number=234" in found.stdout
    again = re.search(r"Once more:\n  (.*)", found.stdout)
    assert again
    once_more = run(shlex.split(again[1]))
    assert once_more.returncode == 1
    assert "number=234" in once_more.stdout


def test_round_without_a_failure_exits_with_0(tmp_path: Path) -> None:
    file = tmp_path / "test_rare.py"
    file.write_text(RARE.replace("number != 234", "number >= 0"))
    done = run([*FUZZ, str(file)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Round 1, seed \d+", done.stdout)
