"""What the command line says of itself: order, examples, completion."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from songswap.cli.main import app


def commands() -> Iterator[tuple[str, Any]]:
    """All commands and groups, by the words that call them."""

    def below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield words, command
        for name, one in getattr(command, "commands", {}).items():
            yield from below(f"{words} {name}", one)

    return below("songswap", get_command(app))


ALL = dict(commands())


@pytest.mark.parametrize("words", ALL)
def test_examples_can_be_typed(words: str) -> None:
    """Each help ends with examples of the command, or of one in its group, that it accepts."""
    title, *examples = ALL[words].epilog.split("\n\n")
    assert title == "Examples:"
    assert examples
    for example in examples:
        assert example.startswith(words)
        called, *arguments = shlex.split(example)
        while f"{called} {arguments[0] if arguments else ''}" in ALL:
            called += f" {arguments.pop(0)}"
        with ALL[called].make_context(called, arguments) as context:
            assert context.params.keys() == {param.name for param in ALL[called].params} - {
                "help",
                "install_completion",
                "show_completion",
            }


def test_order_of_use() -> None:
    """The help lists the commands as they are come to need, the first day's first."""
    root = ALL["songswap"]
    with root.make_context("songswap", ["demo"]) as context:
        names = root.list_commands(context)
    order = ["demo", "connect", "check", "status", "grants", "import", "backfill", "replay"]
    assert [name for name in names if name in order] == order
    assert sorted(names) == sorted(root.commands)


def complete(folder: Path, line: str) -> list[str]:
    """What bash is offered where a line ends."""
    words = line.split(" ")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv[0] = 'songswap'\nimport songswap.cli.main as c\nc.main()",
        ],
        cwd=folder,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "_SONGSWAP_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_shell_completes_commands_options_and_values(tmp_path: Path) -> None:
    assert complete(tmp_path, "songswap gr") == ["grants"]
    assert complete(tmp_path, "songswap spool r") == ["retry"]
    assert complete(tmp_path, "songswap grants --st") == ["--state"]
    assert complete(tmp_path, "songswap grants --state ex") == ["expiring", "expired"]


def test_completion_imports_little(tmp_path: Path) -> None:
    """Between two keys nothing is loaded that only the work needs."""
    heavy = ("psycopg", "aiohttp", "sqlalchemy", "alembic", "obstore", "msgspec", "airflow")
    code = (
        "import sys; import songswap.cli.main; print([name for name in {} if name in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", code.format(heavy)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "[]\n"
