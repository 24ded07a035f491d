"""Commands that were given no settings take those of the demo in their folder, and say so."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from songswap.cli.demo_settings import complete, stopped_demo
from songswap.dev.stack.stack import _exports

WAREHOUSE = "AIRFLOW_CONN_SONGSWAP_RDS"


def make_demo(folder: Path, pid: int, **settings: str) -> Path:
    """Write what a demo leaves in its folder; gives the file of its settings."""
    state = folder / ".songswap"
    state.mkdir(mode=0o700)
    (state / "lock").write_text(f"{pid}\n")
    settings = {WAREHOUSE: "postgresql://u:p@127.0.0.1:1/demo", **settings}
    file = state / "environment"
    file.write_text(_exports({"SONGSWAP_SPOOL": str(state / "spool"), **settings}))
    file.chmod(0o600)
    return file


@pytest.fixture
def ended() -> int:
    """The id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def songswap(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with nothing in its environment but this."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "songswap.cli.main", *arguments],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "80"} | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_demo_of_the_folder(warehouse_dsn: str, tmp_path: Path) -> None:
    """A command in the folder of a demo works with it, and says on standard error that it does."""
    about = conninfo_to_dict(warehouse_dsn)
    uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**about)
    file = make_demo(tmp_path, os.getpid(), **{WAREHOUSE: uri})
    done = songswap(tmp_path, "grants", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"grants": [], "narrow_columns": []}\n'
    assert done.stderr == (f"No warehouse is set: the settings are those of the demo, {file}.\n")
    assert songswap(tmp_path, "grants", "--help").stderr == ""

    # What is set wins, in the environment and in .env.
    own = {WAREHOUSE: "postgresql://u:p@127.0.0.1:1/own"}
    for more in (own, {}):
        if not more:
            (tmp_path / ".env").write_text(f"{WAREHOUSE}={own[WAREHOUSE]}\n")
        done = songswap(tmp_path, "grants", **more)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: The warehouse (connection SongSwap_RDS) refused")


def test_demo_is_not_running(tmp_path: Path, ended: int) -> None:
    """Where its demo has ended a command says that, and how it is started: found or sourced."""
    file = make_demo(tmp_path, ended)
    (tmp_path / "Makefile").touch()
    sentence = f"Error: The demo in {file.parent} is not running. Start it with: make demo\n"
    done = songswap(tmp_path, "status")
    assert done.returncode == 1
    assert done.stderr.endswith(sentence)
    settings = dict(
        line.removeprefix("export ").split("=", 1) for line in file.read_text().splitlines()
    )
    done = songswap(tmp_path, "status", **{name: shlex.split(v)[0] for name, v in settings.items()})
    assert (done.returncode, done.stderr) == (1, sentence)
    checked = songswap(tmp_path, "check", "postgres")
    assert checked.returncode == 1
    assert checked.stderr.endswith(sentence.removeprefix("Error: "))


def test_demo_that_runs_is_not_blamed(tmp_path: Path) -> None:
    """While a demo runs, or where the warehouse is another, the error stays what it is."""
    file = make_demo(tmp_path, os.getpid())
    settings = {"SONGSWAP_SPOOL": str(file.parent / "spool")}
    demo = {**settings, WAREHOUSE: "postgresql://u:p@127.0.0.1:1/demo"}
    assert stopped_demo(demo) is None
    (file.parent / "lock").write_text("")
    assert stopped_demo(demo) is None
    assert stopped_demo({**settings, WAREHOUSE: "postgresql://other"}) is None
    assert stopped_demo({}) is None


def test_line_to_type(tmp_path: Path) -> None:
    """Below the folder of a demo, or beside it, the error names the one line to type."""
    file = make_demo(tmp_path, os.getpid(), SPOTIFY_CLIENT_ID="songswap")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for folder, more, whose in (
        (below, {}, "its settings"),
        (tmp_path, {"SPOTIFY_CLIENT_ID": "real"}, "them"),
    ):
        done = songswap(folder, "status", **more)
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: {WAREHOUSE} is not set")
        assert done.stderr.endswith(f"To use {whose}: . {file}\n")


def test_explicit_settings_win(tmp_path: Path) -> None:
    """A setting that is there stays, an empty one counts as none, and only ours are taken."""
    file = make_demo(tmp_path, os.getpid(), SONGSWAP_BATCH_SIZE="5")
    with file.open("a") as opened:
        opened.write("# a comment\n\nexport LD_PRELOAD=/evil.so\nexport PATH=/evil\n")
    environment = {"SONGSWAP_BATCH_SIZE": "7", WAREHOUSE: " "}
    found = complete(environment, tmp_path)
    assert found is not None
    assert found.file == file
    assert environment == {
        "SONGSWAP_BATCH_SIZE": "7",
        "SONGSWAP_SPOOL": str(file.parent / "spool"),
        WAREHOUSE: "postgresql://u:p@127.0.0.1:1/demo",
    }
    other = tmp_path / "other"
    other.mkdir()
    named = {"SONGSWAP_STATE": str(file.parent)}
    assert complete(named, other) == (file, found.sentence)


def test_no_service_is_left_out(tmp_path: Path) -> None:
    """What the demo simulates is asked there by the commands too, ReccoBeats among it."""
    address = "http://127.0.0.1:8010/reccobeats"
    make_demo(tmp_path, os.getpid(), RECCOBEATS_URL=address)
    environment: dict[str, str] = {}
    complete(environment, tmp_path)
    assert environment["RECCOBEATS_URL"] == address


@pytest.mark.parametrize("name", ["AIRFLOW_CTX_DAG_ID", "SONGSWAP_STACK"])
def test_tasks_and_demo_parts_take_no_settings_from_a_folder(tmp_path: Path, name: str) -> None:
    make_demo(tmp_path, os.getpid())
    environment = {name: "x"}
    assert complete(environment, tmp_path) is None
    assert environment == {name: "x"}


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "sentence"),
    [
        (0o620, 0o700, "others may write to it"),
        (0o602, 0o700, "others may write to it"),
        (0o600, 0o777, "others may write to its folder"),
    ],
)
def test_file_that_others_can_write_is_not_read(
    tmp_path: Path, file_mode: int, folder_mode: int, sentence: str
) -> None:
    """That is said."""
    file = make_demo(tmp_path, os.getpid())
    file.chmod(file_mode)
    file.parent.chmod(folder_mode)
    environment: dict[str, str] = {}
    found = complete(environment, tmp_path)
    assert found == (None, f"The settings in {file} are not used: {sentence}.")
    assert environment == {}


def test_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's file is not read, here or above."""
    file = make_demo(tmp_path, os.getpid())
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    found = complete({}, tmp_path)
    assert found == (None, f"The settings in {file} are not used: it belongs to another user.")
    below = tmp_path / "below"
    below.mkdir()
    assert complete({}, below) is None


@pytest.mark.parametrize(
    "line", ["rm -rf x", "export A", "export A=1 B=2", "export SONGSWAP_X='open"]
)
def test_no_such_file(tmp_path: Path, line: str) -> None:
    """A file with anything but exports is not read, and nothing in it is run."""
    make_demo(tmp_path, os.getpid()).write_text(line)
    found = complete({}, tmp_path)
    assert found is not None
    assert found.file is None
    assert "are not used" in found.sentence
