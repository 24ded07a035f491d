"""Run the property tests with new seeds, again and again; end with 1 at the first failure.

    .venv/bin/python tests/fuzz.py --minutes 60               # all
    .venv/bin/python tests/fuzz.py --minutes 5 tests/unit     # what is added goes to pytest

Each round has a seed of its own, which is printed: the same command with it draws the same
examples. No round begins after so many minutes, and there is one at least.
"""

import argparse
import random
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
NO_TESTS = 5
"""pytest's exit code where no test was chosen."""


def command(seed: int, arguments: list[str]) -> list[str]:
    """The command of a round."""
    python = Path(sys.executable)
    return [
        str(python.relative_to(ROOT) if python.is_relative_to(ROOT) else python),
        *("-m", "pytest", "-m", "hypothesis", "-q", "--hypothesis-profile", "fuzz"),
        *("--hypothesis-seed", str(seed), *arguments),
    ]


def main() -> int:
    """Rounds until the time is over or one fails."""
    parser = argparse.ArgumentParser(description="Property tests with new seeds.")
    parser.add_argument("--minutes", type=float, default=10, help="No round begins after them.")
    options, arguments = parser.parse_known_args()
    until = time.monotonic() + 60 * options.minutes
    number = 0
    while number == 0 or time.monotonic() < until:
        number += 1
        seed = random.SystemRandom().randrange(2**32)
        words = command(seed, arguments)
        print(f"Round {number}, seed {seed}", flush=True)
        run_concurrently = ("--numprocesses", "2", "--dist", "loadgroup")
        code = subprocess.run([*words, *run_concurrently], cwd=ROOT, check=False).returncode  # noqa: S603
        if code:
            again = "" if code == NO_TESTS else f" Once more:\n  {shlex.join(words)}"
            print(f"Round {number} ended with {code}, seed {seed}.{again}", flush=True)
            return 1
    print(f"{number} rounds, nothing was found.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
