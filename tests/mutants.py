"""Break the pipeline on purpose, one way after the other, and see that a test turns red.

    .venv/bin/python tests/mutants.py            # all, some minutes
    .venv/bin/python tests/mutants.py cursor     # those whose name holds this word

Each mutant is a change of one place in a copy of the project, which is run with an interpreter of
its own, so that processes which tests start are broken in the same way. First the tests have to be
green without any. Exit 0 when all were caught.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
NEEDED = ("src", "tests", "dags", "pyproject.toml", "docs", "README.md")


class Mutant(NamedTuple):
    """A place in a file of `src/songswap` that is changed, and who has to notice."""

    name: str
    file: str
    old: str
    new: str
    seen_by: str


MUTANTS = (
    Mutant(
        "key without track check: another track at a taken moment is dropped silently",
        "warehouse/plays.py",
        "if track_id != play.track_id:",
        "if track_id is None:",
        "tests/integration/test_loads.py::test_two_tracks_at_one_moment",
    ),
    Mutant(
        "cursor instead of key: only what is newer than the newest known play is new",
        "warehouse/plays.py",
        "sorted(play for response in responses for play in response.history.plays):",
        "sorted(\n"
        "        play for response in responses for play in response.history.plays\n"
        "        if all(play.played_at > at for user, at in known if user == play.user_id)\n"
        "    ):",
        "tests/integration/test_loads.py::test_order_and_repetition",
    ),
    Mutant(
        "token not stored after rotation",
        "warehouse/tokens.py",
        '        cursor = await connection.execute(_SQL["store"], old | columns | times)\n',
        "        times = times | {name: [] for name in old}\n"
        '        cursor = await connection.execute(_SQL["store"], old | columns | times)\n',
        "tests/integration/test_soak.py::test_promise_is_kept",
    ),
    Mutant(
        "a rotated token goes to the warehouse only, not to the disk first",
        "pipelines/tokens.py",
        "[token for token in rotated if token.refresh_token != token.old_refresh_token]",
        "[]",
        "tests/integration/test_crash.py::test_killed_with_rotated_tokens_in_hand",
    ),
    Mutant(
        "archive after load: a loaded answer leaves the spool before S3 has it",
        "storage/spool.py",
        "DELETE FROM answers WHERE id = :id AND archived = :done AND loaded = :done",
        "DELETE FROM answers WHERE id = :id AND loaded = :done",
        "tests/integration/test_faults.py::test_s3_stopped_during_a_run",
    ),
    Mutant(
        "any error of a taken key counts as archived, status 409 too",
        "storage/archive.py",
        "if answered == 412:",
        "if answered:",
        "tests/integration/test_archive.py::test_conflict_is_tried_again",
    ),
    Mutant(
        "an archived answer leaves the spool before it is loaded",
        "storage/spool.py",
        "DELETE FROM answers WHERE id = :id AND archived = :done AND loaded = :done",
        "DELETE FROM answers WHERE id = :id AND archived = :done",
        "tests/integration/test_hourly_load.py::test_loads_what_spotify_could_tell",
    ),
    Mutant(
        "spool without fsync",
        "storage/spool_file.py",
        "PRAGMA synchronous=FULL",
        "PRAGMA synchronous=NORMAL",
        "tests/integration/test_spool.py::test_killed_while_writing",
    ),
    Mutant(
        "gaps are not recorded",
        "warehouse/plays.py",
        "if response.history.full",
        "if response.history.items > 50",
        "tests/integration/test_soak.py::test_promise_is_kept",
    ),
    Mutant(
        "20 plays are asked for instead of 50",
        "spotify/client.py",
        '{"limit": "50"}',
        '{"limit": "20"}',
        "tests/integration/test_soak.py::test_promise_is_kept",
    ),
    Mutant(
        "an incident at Spotify ends everybody's grant",
        "warehouse/grants.sql",
        "over OR NOT %(incident)s AND",
        "over OR NOT (%(incident)s AND false) AND",
        "tests/integration/test_faults.py::test_everybody_refused_is_an_incident",
    ),
    Mutant(
        "an export is loaded as it was planned before others had loaded",
        "warehouse/exports/streams.py",
        "if current != stored:",
        "if current is None:",
        "tests/integration/test_import.py::test_two_at_once",
    ),
    Mutant(
        "a play that an export had told is loaded again when the API tells it",
        "warehouse/plays.py",
        "if not streams:",
        "if streams is not None:",
        "tests/integration/test_import.py::test_told_by_both",
    ),
    Mutant(
        "a pause says that it was another play",
        "transform/exports/intervals.py",
        "return min(start, longest if self.after is None else max(self.after, longest))",
        "return start",
        "tests/integration/test_import_truth.py::test_each_play_once",
    ),
    Mutant(
        "a play of the API is several streams",
        "transform/exports/matching.py",
        "count, distance, pairs = before",
        "count, distance, pairs = best[play + 1]",
        "tests/unit/transform/exports/test_matching.py::test_one_of_two_is_told",
    ),
    Mutant(
        "tracks that share their names are not told apart by what the API told",
        "transform/exports/classify.py",
        "elif reason is None or rule.may_be_play(stream):",
        "elif reason is None:",
        "tests/unit/transform/exports/test_classify_truth.py::test_truth",
    ),
    Mutant(
        "a play of an offline phone stands at its upload",
        "transform/exports/streams.py",
        "if row.offline:",
        "if row.offline and False:",
        "tests/unit/transform/exports/test_files.py::test_offline_play_ends_when_it_ended",
    ),
    Mutant(
        "what an offline phone paused is told as another play",
        "transform/exports/intervals.py",
        "return self.until or self.ended_at + (_MINUTE if self.to_the_minute else _NONE)",
        "return self.ended_at + (_MINUTE if self.to_the_minute else _NONE)",
        "tests/unit/transform/exports/test_matching.py::test_paused_offline",
    ),
    Mutant(
        "two rows of one play are two plays",
        "transform/exports/doubles.py",
        "return overlap > min(SLACK, min(first.ms_played, later.ms_played) * _MS / 2)",
        "return False",
        "tests/unit/transform/exports/test_doubles.py::test_three_rows_of_one_play",
    ),
    Mutant(
        "a play that the extended history tells to be private stays one",
        "warehouse/exports/streams.py",
        "        self.delete_plays(plan.withdrawn)\n",
        "",
        "tests/integration/test_import.py::test_private_after_all",
    ),
    Mutant(
        "an address is archived with an export",
        "transform/exports/files.py",
        "                value.username = None\n",
        "                pass\n",
        "tests/unit/transform/exports/test_files.py::test_nothing_personal_is_kept",
    ),
    Mutant(
        "rows that are not there after their load are not noticed",
        "warehouse/copying.py",
        "if cursor.rowcount != len(rows):",
        "if cursor.rowcount > len(rows):",
        "tests/integration/test_loads.py::test_vanished_row_is_noticed",
    ),
    Mutant(
        "a replay loads a user's answers backwards",
        "pipelines/replay.py",
        "whole.sort(key=lambda one: (one.observed_at, one.key))",
        "whole.sort(key=lambda one: (one.observed_at, one.key), reverse=True)",
        "tests/integration/test_replay.py::test_fresh_database",
    ),
    Mutant(
        "of a day's popularity the first loaded stands, not the first observed",
        "warehouse/popularity.py",
        "if value not in dates or _floor(moment) < _floor(dates[value])",
        "if value not in dates",
        "tests/integration/test_loads.py::test_popularity_by_batches",
    ),
    Mutant(
        "of what is told of a track differently the first loaded stands",
        "warehouse/catalogue.py",
        "old if authoritative and old else max(old, new)",
        "old or new",
        "tests/integration/test_loads.py::test_batches_of_users_in_any_order",
    ),
    Mutant(
        "a refusal is noted only when the wait is over",
        "warehouse/limits/budgets.py",
        "            await asyncio.sleep(max(0.0, self._opens_at - loop.time()))\n",
        "                await asyncio.sleep(max(0.0, self._opens_at - loop.time()))\n",
        "tests/integration/test_budget.py::test_refusal_is_learned_from_at_once",
    ),
)


def interpreter(folder: Path) -> Path:
    """A Python that finds the project in ``folder``, and everything else where this one does."""
    environment = folder / ".venv"
    venv.create(environment, symlinks=True)
    packages = next((environment / "lib").glob("python3*")) / "site-packages"
    here = sysconfig.get_path("purelib")
    (packages / "mutant.pth").write_text(f"{folder / 'src'}\n{here}\n")
    return environment / "bin" / "python"


def copied(folder: Path) -> None:
    """Copy what tests need."""
    for name in NEEDED:
        there = ROOT / name
        if there.is_dir():
            shutil.copytree(there, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(there, folder / name)


def tested(python: Path, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run tests; pytest's exit code, and what it said."""
    done = subprocess.run(  # noqa: S603 - our own tests
        [python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def caught_by(python: Path, folder: Path, mutant: Mutant) -> str | None:
    """The test that turned red first, None when none did.

    Raises:
        SystemExit: the mutant cannot be made, or its test does not run.
    """
    file = folder / "src/songswap" / mutant.file
    whole = file.read_text()
    if whole.count(mutant.old) != 1:
        sys.exit(f"{mutant.name}: {mutant.file} does not hold its place exactly once")
    file.write_text(whole.replace(mutant.old, mutant.new))
    try:
        code, said = tested(python, folder, mutant.seen_by)
    finally:
        file.write_text(whole)
    if code not in (0, 1):
        sys.exit(f"{mutant.name}: its test did not run\n{said}")
    red = re.search(r"^FAILED \S+::(\S+)", said, re.MULTILINE)
    return red.group(1) if code and red else None


def main() -> int:
    """Try all mutants, or those that are named."""
    chosen = [one for one in MUTANTS if all(word in one.name for word in sys.argv[1:])]
    if not chosen:
        sys.exit(f"No mutant's name holds {' and '.join(sys.argv[1:])!r}.")
    survived = 0
    with tempfile.TemporaryDirectory(prefix="songswap-mutants-") as text:
        folder = Path(text)
        copied(folder)
        python = interpreter(folder)
        print("Without a mutant … ", end="", flush=True)
        code, said = tested(python, folder, "-n", "2", *{one.seen_by for one in chosen})
        if code:
            sys.exit(f"not green:\n{said}")
        print("green", flush=True)
        for number, mutant in enumerate(chosen, 1):
            print(f"{number} of {len(chosen)}: {mutant.name} … ", end="", flush=True)
            red = caught_by(python, folder, mutant)
            print(f"caught by {red}" if red else "NOT CAUGHT", flush=True)
            survived += red is None
    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
