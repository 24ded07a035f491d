"""Break the pipeline on purpose, in one place at a time, and check that a test fails.

    .venv/bin/python tests/mutants.py            # all, some minutes
    .venv/bin/python tests/mutants.py cursor     # those whose name holds this word

Each mutant changes the body of one function, or one SQL statement, in a copy of the project. It is
run with an interpreter of its own, so that processes which tests start are broken in the same way.
The tests have to pass without a mutant first. Exit 0 when all were caught.
"""

import ast
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
Block = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
NEEDED = ("src", "tests", "dags", "pyproject.toml", "docs", "README.md")


class CannotMutate(Exception):
    """The code has changed, so that a mutant cannot be made; the text says what to do."""


class Mutant(NamedTuple):
    """What is broken, where and how, and the test that has to fail.

    ``where`` is a function by its importable name, or a named statement as ``module:statement``.
    ``old`` stands in it exactly once, in the form of `ast.unparse`, and becomes ``new``; where it
    is None, ``new`` is the function's whole body.
    """

    name: str
    where: str
    old: str | None
    new: str
    seen_by: str


MUTANTS = (
    Mutant(
        "key without track check: another track at a taken moment is dropped silently",
        "songswap.warehouse.plays._new_plays",
        "track_id != play.track_id",
        "track_id is None",
        "tests/integration/test_plays.py::test_two_tracks_at_one_moment",
    ),
    Mutant(
        "cursor instead of key: only what is newer than the newest known play is new",
        "songswap.warehouse.plays._new_plays",
        "in response.history.plays",
        "in response.history.plays"
        " if all(play.played_at > at for user, at in known if user == play.user_id)",
        "tests/integration/test_plays.py::test_order_and_repetition",
    ),
    Mutant(
        "token not stored after rotation",
        "songswap.warehouse.tokens.store",
        "old | columns | times",
        "old | columns | times | {name: [] for name in old}",
        "tests/integration/test_soak.py::test_soak_loses_doubles_and_invents_nothing",
    ),
    Mutant(
        "a rotated token goes to the warehouse only, not to the disk first",
        "songswap.pipelines.tokens.TokenExchanger._store",
        "[token for token in rotated if token.refresh_token != token.old_refresh_token]",
        "[]",
        "tests/integration/test_crash.py::test_killed_with_rotated_tokens_in_hand",
    ),
    Mutant(
        "archive after load: a loaded response leaves the spool before S3 has it",
        "songswap.storage.spool.Spool._drop_done",
        "archived = :done AND ",
        "",
        "tests/integration/test_faults.py::test_s3_stopped_during_a_run",
    ),
    Mutant(
        "any refusal of a taken key counts as archived, status 409 too",
        "songswap.storage.archive.Archive._put",
        "== 412",
        "in (409, 412)",
        "tests/integration/test_archive.py::test_conflicting_put_is_repeated_under_its_key",
    ),
    Mutant(
        "an archived response leaves the spool before it is loaded",
        "songswap.storage.spool.Spool._drop_done",
        " AND loaded = :done",
        "",
        "tests/integration/test_hourly_load.py::test_load_stores_every_play_spotify_could_return",
    ),
    Mutant(
        "spool without fsync",
        "songswap.storage.spool_file.SpoolFile._connect",
        "synchronous=FULL",
        "synchronous=NORMAL",
        "tests/integration/test_spool.py::test_killed_while_writing",
    ),
    Mutant(
        "gaps are not recorded",
        "songswap.warehouse.plays._Load.insert_gaps",
        None,
        "return 0",
        "tests/integration/test_hourly_load.py::test_gap_is_recorded_once",
    ),
    Mutant(
        "20 plays are requested instead of 50",
        "songswap.spotify.client.Client.recently_played",
        "'50'",
        "'20'",
        "tests/integration/test_soak.py::test_soak_loses_doubles_and_invents_nothing",
    ),
    Mutant(
        "an incident at Spotify ends everybody's grant",
        "songswap.warehouse.grants:settle_refused",
        "NOT %(incident)s AND",
        "NOT (%(incident)s AND false) AND",
        "tests/integration/test_faults.py::test_everybody_refused_is_an_incident",
    ),
    Mutant(
        "an export is loaded as it was planned before others loaded",
        "songswap.warehouse.exports.streams._write",
        "not load.read_stored().has_rows_of(stored)",
        "not stored",
        "tests/integration/test_import_export.py::test_two_at_once",
    ),
    Mutant(
        "a play of an export is loaded again when the API returns it",
        "songswap.warehouse.exports.merge.merge",
        None,
        "return Merged(set(), set())",
        "tests/integration/test_import_export.py::test_play_of_export_and_api_is_one_play",
    ),
    Mutant(
        "a play does not match its stream if that was paused",
        "songswap.transform.exports.intervals.StreamInterval.earliest",
        None,
        "return self.started_at",
        "tests/integration/test_import_truth.py::test_each_play_once",
    ),
    Mutant(
        "a play of the API matches several streams",
        "songswap.transform.exports.matching._best_pairs",
        "count, distance, pairs = before",
        "count, distance, pairs = best[play + 1]",
        "tests/unit/transform/exports/test_matching.py::test_play_near_two_streams_matches_one",
    ),
    Mutant(
        "plays of the API do not decide between tracks of one name",
        "songswap.transform.exports.classify.classify",
        "rule.may_be_play(stream)",
        "False",
        "tests/unit/transform/exports/test_classify_truth.py::test_plays_and_streams_match_as_they_truly_do",
    ),
    Mutant(
        "a play of an offline phone is dated at its upload",
        "songswap.transform.exports.streams.File.add",
        "if row.offline:",
        "if False:",
        "tests/unit/transform/exports/test_files.py::test_offline_play_ends_when_it_ended",
    ),
    Mutant(
        "a play does not match its stream if that was paused offline",
        "songswap.transform.exports.intervals.StreamInterval.latest",
        "self.until or ",
        "",
        "tests/unit/transform/exports/test_matching.py::test_offline_pauses_lie_after_the_counted_end",
    ),
    Mutant(
        "two rows of one play are two plays",
        "songswap.transform.exports.doubles._is_same",
        None,
        "return False",
        "tests/unit/transform/exports/test_doubles.py::test_three_rows_of_one_play",
    ),
    Mutant(
        "a play that the extended history marks as private stays loaded",
        "songswap.warehouse.exports.streams._Load.delete_plays",
        None,
        "pass",
        "tests/integration/test_import_export.py::test_private_after_all",
    ),
    Mutant(
        "an address is archived with an export",
        "songswap.transform.exports.files._archivable",
        "value.username = None",
        "pass",
        "tests/unit/transform/exports/test_files.py::test_archived_rows_hold_nothing_personal",
    ),
    Mutant(
        "rows that are missing after their load are not noticed",
        "songswap.warehouse.copying.require_all",
        "copied != number",
        "copied > number",
        "tests/integration/test_plays.py::test_row_that_vanishes_rolls_the_load_back",
    ),
    Mutant(
        "a replay loads a user's answers backwards",
        "songswap.pipelines.replay._Replay.load_responses",
        ".sort(",
        ".sort(reverse=True, ",
        "tests/integration/test_replay.py::test_replay_into_a_fresh_database_gives_the_same_rows",
    ),
    Mutant(
        "of a day's popularity the first loaded is stored, not the first observed",
        "songswap.warehouse.popularity.compare",
        "value not in dates or _floor(moment) < _floor(dates[value])",
        "value not in dates",
        "tests/integration/test_plays.py::test_popularity_by_batches",
    ),
    Mutant(
        "of differing values of a track the first loaded is stored",
        "songswap.warehouse.catalogue_lookup._merged",
        "old if authoritative and old else max(old, new)",
        "old or new",
        "tests/integration/test_plays.py::test_batches_of_users_in_any_order",
    ),
    Mutant(
        "a process that waits for Spotify is taken for dead",
        "songswap.pipelines.drain.report",
        "senders - {work.holder for work in at_work}",
        "senders",
        "tests/integration/test_tokens_of_hosts.py::test_nobody_is_given_up_while_a_host_may_have_the_token",
    ),
    Mutant(
        "a user is given up while another host has the token",
        "songswap.warehouse.grants:settle_refused",
        "user_id NOT IN (SELECT user_id FROM songswap.possibly_spooled())",
        "true",
        "tests/integration/test_hosts.py::test_user_is_undecided_while_a_host_may_have_the_token",
    ),
    Mutant(
        "a drain takes what a batch in progress is working on",
        "songswap.pipelines.drain.drain_spool",
        "work.holder != holder",
        "work.holder == holder",
        "tests/integration/test_drain.py::test_drain_leaves_a_batch_in_progress",
    ),
    Mutant(
        "an erasure is confirmed while a drain has a response of the user",
        "songswap.pipelines.drain._at_work",
        "spool.working()",
        "suppress()",
        "tests/integration/test_spool_erasures.py::test_host_waits_for_a_drain_that_has_read_a_response",
    ),
    Mutant(
        "a spool is stored from before its users are erased",
        "songswap.pipelines.drain.drain_spool",
        "spool_erasures.fulfil(connection, spool, settings.host, holder)",
        "pass",
        "tests/integration/test_spool_erasures.py::test_late_spool_of_a_host_that_was_away",
    ),
    Mutant(
        "traces of deleted rows stay in the spool's file",
        "songswap.storage.spool_file.SpoolFile.rewrite",
        "self.db.execute('VACUUM')",
        "pass",
        "tests/integration/test_spool_erasure.py::test_no_byte_of_an_erased_user_is_left",
    ),
    Mutant(
        "a rotation during an erasure is taken for a new authorization",
        "songswap.warehouse.tokens:keep_sign_in",
        "AND e.refresh_digest = k.old_digest",
        "AND false",
        "tests/integration/test_erased_sign_ins.py::test_sign_in_outlives_an_exchange_in_progress",
    ),
    Mutant(
        "a shard is written as it was looked up, although another load has changed it",
        "songswap.warehouse.catalogue._write_some",
        "version != seen.versions[shard] + 1",
        "version < 0",
        "tests/integration/test_interleaving.py::test_any_order_of_steps_is_as_one_after_the_other",
    ),
    Mutant(
        "plays are loaded without a lock of their users",
        "songswap.warehouse.locks:lock_users",
        " FOR NO KEY UPDATE",
        "",
        "tests/integration/test_interleaving.py::test_any_order_of_steps_is_as_one_after_the_other",
    ),
    Mutant(
        "an enrichment changes tracks without their shards",
        "songswap.warehouse.enrichment.load",
        "lock_shards(connection, _shards(kind, requested, metadata))",
        "pass",
        "tests/integration/test_interleaving.py::test_any_order_of_steps_is_as_one_after_the_other",
    ),
    Mutant(
        "polls are recorded without a lock of their users",
        "songswap.warehouse.polls.record_polls",
        "lock_users(connection, problems)",
        "pass",
        "tests/integration/test_interleaving.py::test_any_order_of_steps_is_as_one_after_the_other",
    ),
    Mutant(
        "nothing of a new track is queued with it",
        "songswap.warehouse.catalogue._to_fetch",
        "news.new['tracks']",
        "()",
        "tests/integration/test_plays.py::test_all_or_nothing",
    ),
    Mutant(
        "an incomplete new track is not queued with it",
        "songswap.warehouse.catalogue._to_fetch",
        "news.incomplete",
        "()",
        "tests/integration/test_killed_work.py::test_killed_before_any_step",
    ),
    Mutant(
        "a new artist is queued with the plays only",
        "songswap.warehouse.catalogue._load_artists",
        "for id_ in new",
        "for id_ in ()",
        "tests/integration/test_killed_work.py::test_killed_before_any_step",
    ),
    Mutant(
        "artists are inserted in the order in which they come",
        "songswap.warehouse.artists:insert",
        "ORDER BY id\n",
        "",
        "tests/integration/test_lock_order.py::test_rows_are_inserted_in_order",
    ),
    Mutant(
        "what is to be fetched is queued in the order in which it comes",
        "songswap.warehouse.enrichment_queue:enqueue",
        "ORDER BY n.kind, n.id\n",
        "",
        "tests/integration/test_lock_order.py::test_rows_are_inserted_in_order",
    ),
    Mutant(
        "a 429 is recorded only after the wait",
        "songswap.warehouse.limits.budgets.Budget.take",
        "\n    await asyncio.sleep(",
        "\n        await asyncio.sleep(",
        "tests/integration/test_budgets.py::test_refusal_is_learned_from_at_once",
    ),
)


def mutated(mutant: Mutant, root: Path) -> tuple[Path, str]:
    """The file that a mutant changes, in a copy of the project, and its text with the change.

    Raises:
        CannotMutate: the function or statement is not there, or is written otherwise.
    """
    module, _, statement = mutant.where.partition(":")
    if statement:
        path = (root / "src" / module.replace(".", "/")).with_suffix(".sql")
        before, heading, rest = path.read_text().partition(f"-- name: {statement}\n")
        body, following, after = rest.partition("-- name: ")
        return path, before + heading + changed(body, mutant) + following + after
    path, names = root / "src", module.split(".")
    while not path.is_file() and names:
        path = path.with_suffix("") / f"{names.pop(0)}.py"
    tree = ast.parse(path.read_text() if path.is_file() else "")
    block = tree.body
    for name in names or [module]:
        found = (node for node in block if isinstance(node, Block) and node.name == name)
        if (node := next(found, None)) is None:
            raise CannotMutate(f"there is no {mutant.where}: write its name of today")
        block = node.body
    block[:] = ast.parse(changed("\n".join(map(ast.unparse, block)), mutant)).body
    return path, ast.unparse(tree)


def changed(text: str, mutant: Mutant) -> str:
    """The text of a function's body, or of a statement, with the change.

    Raises:
        CannotMutate: what is to be changed does not stand there exactly once.
    """
    if mutant.old is None:
        return mutant.new
    if (times := text.count(mutant.old)) != 1:
        raise CannotMutate(
            f"{mutant.where} has {mutant.old!r} {times} times instead of once: write the mutant for"
            f" the code of today, which is\n{text}"
        )
    return text.replace(mutant.old, mutant.new)


def interpreter(folder: Path) -> Path:
    """A Python that finds the project in ``folder``, and everything else where this one does."""
    environment = folder / ".venv"
    venv.create(environment, symlinks=True)
    packages = next((environment / "lib").glob("python3*")) / "site-packages"
    own = sysconfig.get_path("purelib")
    (packages / "mutant.pth").write_text(f"{folder / 'src'}\n{own}\n")
    return environment / "bin" / "python"


def copied(folder: Path) -> None:
    """Copy what tests need."""
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def tested(python: Path, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run tests; pytest's exit code, and its output."""
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
    try:
        path, broken = mutated(mutant, folder)
    except CannotMutate as error:
        sys.exit(f"{mutant.name}: {error}")
    whole = path.read_text()
    path.write_text(broken)
    try:
        code, output = tested(python, folder, mutant.seen_by)
    finally:
        path.write_text(whole)
    if code not in (0, 1):
        sys.exit(f"{mutant.name}: its test did not run\n{output}")
    red = re.search(r"^FAILED \S+::(\S+)", output, re.MULTILINE)
    return red.group(1) if code and red else None


def main() -> int:
    """Try all mutants, or those that are named."""
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in sys.argv[1:])]
    if not chosen:
        sys.exit(f"No mutant's name holds {' and '.join(sys.argv[1:])!r}.")
    survived = 0
    with tempfile.TemporaryDirectory(prefix="songswap-mutants-") as text:
        folder = Path(text)
        copied(folder)
        python = interpreter(folder)
        print("Without a mutant … ", end="", flush=True)
        code, output = tested(python, folder, "-n", "2", *{mutant.seen_by for mutant in chosen})
        if code:
            sys.exit(f"not green:\n{output}")
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
