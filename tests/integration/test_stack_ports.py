"""Ports that are in use: all are named before anything is installed, with a line that helps."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from songswap.dev.stack.ports import Ports, require_ports
from songswap.supervision.errors import StartRefused

SOURCES = Path(__file__).parents[2] / "src"
PARTS = ("airflow", "postgres", "s3", "simulator")


@pytest.fixture
def ports(free_port: Callable[[], int]) -> dict[str, int]:
    """Free ports by part."""
    return {part: free_port() for part in PARTS}


@pytest.fixture
def use() -> Iterator[Callable[..., None]]:
    """Listens on ports until the test ends."""
    with ExitStack() as open_ones:

        def listen(*numbers: int) -> None:
            for number in numbers:
                open_ones.enter_context(socket.create_server(("127.0.0.1", number)))

        yield listen


def pasted(message: str) -> tuple[dict[str, int], list[str]]:
    """The settings and the command of the line that a refusal offers."""
    words = shlex.split(message.rstrip().splitlines()[-1])
    settings = [word for word in words if word.startswith("SONGSWAP_")]
    given = {name: int(port) for name, _, port in (word.partition("=") for word in settings)}
    return given, words[len(settings) :]


def test_all_used_ports_are_named_at_once(ports: dict[str, int], use: Callable[..., None]) -> None:
    """With the part of each; the line sets each to a port that is free, and no other."""
    require_ports(ports, "songswap demo")
    use(ports["airflow"], ports["s3"])
    with pytest.raises(StartRefused) as refused:
        require_ports(ports, "songswap demo --once --state 'my folder'")
    message = str(refused.value)
    assert f"{ports['airflow']} for airflow" in message
    assert f"{ports['s3']} for s3" in message
    assert str(ports["postgres"]) not in message
    given, command = pasted(message)
    assert command == ["songswap", "demo", "--once", "--state", "my folder"]
    assert given.keys() == {"SONGSWAP_AIRFLOW_PORT", "SONGSWAP_S3_PORT"}
    chosen = {part: given.get(Ports.variable(part), port) for part, port in ports.items()}
    require_ports(chosen, "songswap demo")


def test_one_port_for_two_parts_is_refused(ports: dict[str, int]) -> None:
    """The second one gets another."""
    with pytest.raises(StartRefused, match="for s3: it is meant for airflow") as refused:
        require_ports({**ports, "s3": ports["airflow"]}, "songswap demo")
    given, _ = pasted(str(refused.value))
    assert given.keys() == {"SONGSWAP_S3_PORT"}
    assert given["SONGSWAP_S3_PORT"] not in ports.values()


def ask(
    folder: Path, environment: dict[str, str], *, dotenv: str = ""
) -> subprocess.CompletedProcess[str]:
    """Asks as `make demo` does: with a Python that has no package at all."""
    (folder / ".env").write_text(f"# caf\xe9\n{dotenv}", encoding="latin-1")  # as some editors do
    return subprocess.run(
        [sys.executable, "-S", "-m", "songswap.dev.stack.ports"],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(SOURCES), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_checks_ports_without_any_package(
    ports: dict[str, int], use: Callable[..., None], tmp_path: Path
) -> None:
    """Settings come from the environment and from .env; the suggested line is one for make."""
    dotenv = f"SONGSWAP_S3_PORT={ports['s3']} # ours\nSONGSWAP_AIRFLOW_PORT=1\n"
    environment = {
        Ports.variable(part): str(ports[part]) for part in ("airflow", "postgres", "simulator")
    }
    free = ask(tmp_path, environment, dotenv=dotenv)
    assert (free.returncode, free.stdout, free.stderr) == (0, "", "")
    use(*ports.values())
    args = {"ARGS": "--once --state 'a b'", "PYTHON": "python3.11"}
    refused = ask(tmp_path, {**environment, **args}, dotenv=dotenv)
    assert refused.returncode == 2
    given, command = pasted(refused.stderr)
    assert len(given) == 4
    assert command == ["make", "demo", "PYTHON=python3.11", "ARGS=--once --state 'a b'"]
    assert all(f"{port} for {part}" in refused.stderr for part, port in ports.items())
    line = {name: str(port) for name, port in given.items()}
    assert ask(tmp_path, {**environment, **line}, dotenv=dotenv).returncode == 0


def test_parts_that_are_not_started_need_no_port(
    ports: dict[str, int], use: Callable[..., None], tmp_path: Path
) -> None:
    """With an S3 and a Spotify of the user's own, theirs are not looked at."""
    use(ports["s3"], ports["simulator"])
    environment = {Ports.variable(part): str(port) for part, port in ports.items()}
    own = 'SPOTIFY_CLIENT_ID=x\nAIRFLOW_CONN_SONGSWAP_S3_PUTONLY=\'{"conn_type": "aws"}\'\n'
    assert ask(tmp_path, environment, dotenv=own).returncode == 0
    assert ask(tmp_path, environment).returncode == 2


def test_a_demo_that_was_here_before_is_left_to_the_demo(
    ports: dict[str, int], use: Callable[..., None], tmp_path: Path
) -> None:
    """What it left running holds the ports: the demo stops that, or names the one that runs."""
    use(*ports.values())
    environment = {Ports.variable(part): str(port) for part, port in ports.items()}
    (tmp_path / ".songswap").mkdir()
    assert ask(tmp_path, environment).returncode == 2
    (tmp_path / ".songswap/lock").touch()
    assert ask(tmp_path, environment).returncode == 0


def test_a_setting_that_is_no_port_is_a_sentence(tmp_path: Path) -> None:
    """Not a traceback."""
    refused = ask(tmp_path, {"SONGSWAP_S3_PORT": "many"})
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "SONGSWAP_S3_PORT has to be a whole number" in refused.stderr
