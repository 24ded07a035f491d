"""What the commands print of names that others chose: whole commands, on real tables."""

import ast
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from examples import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from songswap.cli import main
from songswap.storage.spool import Spool
from songswap.supervision.interrupt import own_signals
from songswap.terminal.console import paragraphs, printable, shortened
from songswap.warehouse import grant_states, grants

SOURCES = Path(main.__file__).parents[1]
OWN_TABLES = {"console.py", "progress.py", "report.py", "command.py"}
"""Who may make what rich has: the one for all, and those who show nothing from outside."""

FEW = settings(
    max_examples=examples(0.4),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def acting(text: str) -> set[str]:
    """The characters that a terminal may act on, beside the ends of lines."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {one for one in text if unicodedata.category(one) in kinds} - {"\n"}


@contextmanager
def _environment(values: dict[str, str], folder: Path) -> Iterator[None]:
    before, there = dict(os.environ), Path.cwd()
    os.environ.update(values)
    os.chdir(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        os.chdir(there)


@pytest.fixture
def songswap(tmp_path: Path) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs a command in this process; gives its exit code, standard output and standard error."""

    def run(arguments: list[str], values: dict[str, str]) -> tuple[int, str, str]:
        written = io.BytesIO(), io.BytesIO()
        said = [io.TextIOWrapper(stream, "utf-8") for stream in written]
        with (
            pytest.MonkeyPatch.context() as patch,
            _environment(values, tmp_path),
            redirect_stdout(said[0]),
            redirect_stderr(said[1]),
        ):
            patch.setattr(sys, "argv", ["songswap", *arguments])
            with pytest.raises(SystemExit) as ended:
                main.main()
        for stream in said:
            stream.flush()
        out, err = (stream.getvalue().decode() for stream in written)
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    yield run
    own_signals()


def _connection(dsn: str) -> dict[str, str]:
    about = psycopg.conninfo.conninfo_to_dict(dsn)
    uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**about)
    return {"AIRFLOW_CONN_SONGSWAP_RDS": uri}


@FEW
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
@example("[/red]")
@example("[dim]hidden")
@example("\x1b]8;;x\x1b\\\x1b[2J")
@example("\x9b2J\u202e\u2066\u200b")
@example("a\nb\r\tc")
@example("🎧❤️" * 5)
@example("山田太郎" * 5)
def test_names_of_users(
    songswap: Callable[..., tuple[int, str, str]], warehouse_dsn: str, name: str
) -> None:
    """Whatever a user calls himself, the commands end well and show it, as text in 80 columns."""
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute('TRUNCATE "Users" CASCADE')
        connection.execute(
            'WITH made AS (INSERT INTO "Users" (username, email, spotify_id)'
            " VALUES (%s, 'e', 's') RETURNING id), tokens AS"
            " (INSERT INTO \"SpotifyTokens\" SELECT id, 'a', 'r' FROM made)"
            " INSERT INTO songswap.gaps SELECT id, '2026-11-01T10:00Z', '2026-11-01T12:30Z',"
            " '2026-11-01T13:01Z', 'run 1' FROM made",
            [name],
        )
    for command in (["grants", "--state", "active"], ["status"], ["status", "--all"]):
        code, out, err = songswap(command, _connection(warehouse_dsn))
        assert (code, err) == (0, "")
        assert acting(out) == set()
        if command != ["status", "--all"]:  # where a long name goes on in the next line
            assert shortened(name, 12).rstrip("…").strip() in out
        if "status" in command:
            assert "2026-11-01 10:00" in out


@FEW
@given(
    st.text(st.characters(exclude_characters="\0/"), min_size=1, max_size=40).filter(
        lambda name: not name.startswith("-") and name not in (".", "..")
    )
)
@example("[/red].zip")
@example("\x1b[2J.zip")
@example("\udcff.json")
@example("s3:\u202e")
def test_names_of_files(
    songswap: Callable[..., tuple[int, str, str]], warehouse_dsn: str, name: str
) -> None:
    """Whatever a file is called, an error that names it is a sentence with the name as text."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return  # no name that a file, or an argument, can have
    settings_ = {
        **_connection(warehouse_dsn),
        "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": "aws://a:b@",
        "AIRFLOW_VAR_BUCKET_NAME": "bucket",
        "SPOTIFY_CLIENT_ID": "a",
        "SPOTIFY_CLIENT_SECRET": "b",
        "SONGSWAP_SPOOL": "spool",
    }
    code, out, err = songswap(["import", name, "--user", "1"], settings_)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert acting(err) == set()
    code, out, err = songswap(["check", name], {})
    assert (code, out) == (2, "")
    assert printable(name).split("\\n")[0] in err
    assert acting(err) == set()


@pytest.mark.parametrize("prefix", ["\x1b[2J[/red]", "\udcff", "a\nb", "a//b", "./a"])
def test_prefix_in_s3(
    songswap: Callable[..., tuple[int, str, str]], warehouse_dsn: str, prefix: str
) -> None:
    """A prefix that no client can ask S3 for is a sentence that names it as text."""
    connection = "aws://a:b@/?endpoint_url=http%3A%2F%2F127.0.0.1%3A1&region_name=us-east-1"
    settings_ = {
        **_connection(warehouse_dsn),
        "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": connection,
        "AIRFLOW_CONN_SONGSWAP_S3_READONLY": connection,
        "AIRFLOW_VAR_BUCKET_NAME": "bucket",
        "SPOTIFY_CLIENT_ID": "a",
        "SPOTIFY_CLIENT_SECRET": "b",
        "SONGSWAP_SPOOL": "spool",
    }
    code, out, err = songswap(["import", f"s3://bucket/{prefix}"], settings_)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: s3://bucket/{paragraphs(prefix)} cannot be listed")
    assert acting(err) == set()


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=lambda one: " ".join(f"{name}={value}" for name, value in one.items()),
)
def test_unprintable_character_is_escaped_in_any_encoding(
    warehouse_dsn: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute(
            'WITH made AS (INSERT INTO "Users" (username, email, spotify_id)'
            " VALUES ('Zoë 🎧 山', 'e', 's') RETURNING id)"
            " INSERT INTO \"SpotifyTokens\" SELECT id, 'a', 'r' FROM made"
        )
    where = {"PATH": os.environ.get("PATH", os.defpath)} | _connection(warehouse_dsn) | environment
    for command, code in (
        ([b"grants", b"--state", b"active"], 0),
        ([b"status"], 0),
        ([b"status", b"--all"], 0),
        ([b"--help"], 0),
        ([b"check", b"\xff\x1b[2J\xe5"], 2),
        ([b"import", b"\xff.zip", b"--user", b"1"], 1),
    ):
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "songswap.cli.main", *command],
            cwd=tmp_path,
            env=where,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
        assert command[0] != b"grants" or b"Zo" in done.stdout


def test_unforeseen_error_is_shown_whole_with_exit_code_1(
    songswap: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("\x1b]0;title\x07[/red]\u202e")

    monkeypatch.setattr("songswap.settings.warehouse_dsn", fail)
    code, out, err = songswap(["grants"], {})
    assert (code, out) == (1, "")
    assert r"RuntimeError: \x1b]0;title\x07[/red]\u202e" in err
    assert "in fail" in err
    assert acting(err) == set()


def test_folder_that_is_gone(tmp_path: Path) -> None:
    """In a folder that somebody has removed the error is the one of any other."""
    gone = tmp_path / "gone"
    gone.mkdir()
    line = 'rmdir "$PWD"; exec "$0" -m songswap.cli.main status'
    done = subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", "-c", line, sys.executable],
        cwd=gone,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "AIRFLOW_CONN_SONGSWAP_RDS is not set" in done.stderr
    assert "Traceback" not in done.stderr


STYLES = re.compile(r"\x1b\[[0-9;]*m")
"""What colours text; nothing else of a command moves or changes the terminal here."""


def in_terminal(folder: Path, environment: dict[str, str], *arguments: str) -> list[str]:
    """Run a command in a terminal of 24 lines and 80 columns; gives its lines without styles."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    where = {"PATH": os.environ.get("PATH", os.defpath), "TERM": "xterm", "LANG": "C.UTF-8"}
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "songswap.cli.main", *arguments],
        cwd=folder,
        env=where | environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as command:
        os.close(theirs)
        said = b""
        with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:
            # At the end Linux has an error to tell.
            while part := terminal.read(4096):
                said += part
        assert command.wait(60) == 0, said
    text = STYLES.sub("", said.decode())
    assert acting(text) <= {"\r"}
    return text.replace("\r\n", "\n").splitlines()


def test_fits_a_terminal(warehouse_dsn: str, tmp_path: Path) -> None:
    """With many users, wide names and all that can be wrong, 80 columns and 24 lines suffice."""
    states = ("active", "revoked", "lost", "forbidden")
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO "Users" (id, username, email, spotify_id)'
            " SELECT 1000000 + n, repeat('名', 19) || n % 10, n::text, n::text"
            " FROM generate_series(1, 60) n"
        )
        connection.execute('INSERT INTO "SpotifyTokens" SELECT id, \'a\' || id, id FROM "Users"')
        now = datetime.now(UTC)
        grants.record_authorized(connection, now)
        again = (None, now + timedelta(hours=5), now - timedelta(hours=1), None)
        for n, state in enumerate(states):
            connection.execute(
                "UPDATE songswap.grants SET state = %s, ask_again_at = %s WHERE user_id %% 4 = %s",
                [state, again[n], n],
            )
        for days, rest in ((179, 1), (400, 2)):
            connection.execute(
                "UPDATE songswap.grants SET authorized_at = %s, state = 'active'"
                " WHERE user_id %% 10 = %s",
                [now - timedelta(days=days), rest],
            )
        connection.execute(
            "INSERT INTO songswap.runs (run_id, state, started_at)"
            " VALUES ('scheduled__2026-11-26T20:01:00+00:00', 'failed', %s)",
            [now],
        )
        connection.execute(
            "INSERT INTO songswap.pauses VALUES ('app', now() + interval '1 hour', 'No', now()),"
            " ('reccobeats', now() + interval '1 hour', 'No', now())"
        )
        connection.execute(
            "INSERT INTO songswap.gaps SELECT id, '2026-11-01T10:00Z', '2026-11-01T12:30Z',"
            " '2026-11-01T13:01Z', 'run 1' FROM \"Users\""
        )
        found = {state for state, n in grant_states.count(connection, now).items() if n}
    assert found == {"active", "expiring", "expired", "revoked", "lost", "forbidden"}
    spool = tmp_path / "spool"
    with Spool(spool):
        pass
    environment = _connection(warehouse_dsn) | {"SONGSWAP_SPOOL": str(spool)}

    table = in_terminal(tmp_path, environment, "grants", *(f"--state={one}" for one in found))
    assert max(map(cell_len, table)) <= 80
    rows = [line for line in table if "100" in line]
    assert len(rows) == 60, "a row is one line"
    assert [row for row in rows if "名名" not in row] == []
    steps = ("authorize by 20", "authorize again", "retry 20", "retry in the next run")
    assert [step for step in steps if not any(step in row for row in rows)] == [], "\n".join(rows)

    lines = in_terminal(tmp_path, environment, "status")
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) <= 24
    assert lines[0].startswith("Paused by ")
    assert lines[1].startswith("Paused by ")
    first = [line.split("  ")[0] for line in lines[2:] if not line.startswith(" ")]
    assert first[:4] == ["Last run", "Waiting", "Oldest poll", "Open gaps"]
    assert not any(re.search(r"\b0 ", line) for line in lines), "a zero is shown"


def test_no_command_prints_past_the_console_module() -> None:
    """Its own console, table or bar could read markup."""
    makes = {"Console", "Table", "Progress", "TextColumn", "escape"}
    found = []
    for path in SOURCES.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        of_rich = {
            name.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich")
            for name in node.names
        }
        called = {
            node.func.id
            for node in nodes
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if path.name not in OWN_TABLES and (own := makes & of_rich & called):
            found.append((path.relative_to(SOURCES).as_posix(), own))
    assert found == []
