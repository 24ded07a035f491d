"""The commands that README, CONTRIBUTING and docs name: each is there, and a test runs it."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

from songswap.cli.main import app
from songswap.dev.soak.command import soak

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_CODE = re.compile(r"^```.*?^```|^ {4}.*?$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(
    r"\bmake \.?[a-z-]+(?=[ `\n]|$)"
    r"|\bsongswap [a-z]+(?: (?:list|show|retry|drop|hosts|forget|up)\b)?(?=[ `'\n]|$)"
    r"|\bdocker (?:compose )?(?:--profile \S+ )?[a-z]+|\.ci/\w+|\btests/\w+\.py\b(?= ?[`\n#-])"
    r"|\buv pip \w+"
)
_OPTIONS = re.compile(r"(?<![\w-])--[a-z][a-z-]+")

RUN_BY = {
    ".ci/run": "integration/test_commands.py::test_documented_goals_of_make_exist",
    "make demo": "e2e/test_demo.py::test_demo_from_start_to_stop",
    "make help": "integration/test_installation.py::test_help_names_each_goal",
    "make test": "integration/test_commands.py::test_documented_goals_of_make_exist",
    "make test-docker": "integration/test_commands.py::test_documented_goals_of_make_exist",
    "make clean": "integration/test_commands.py::test_documented_goals_of_make_exist",
    "make fuzz": "integration/test_fuzz.py::test_failure_is_found_again_by_the_printed_command",
    "make lint": "integration/test_commands.py::test_documented_goals_of_make_exist",
    "make format": "integration/test_commands.py::test_documented_goals_of_make_exist",
    "make lock": "integration/test_commands.py::test_documented_goals_of_make_exist",
    "make spark": "integration/test_parallel.py::test_a_cluster_as_users_start_it",
    "make soak": "integration/test_soak.py::test_soak_command_prints_its_sums_as_json",
    "make bench": "integration/test_benchmarks.py::test_part_prints_its_figures",
    "tests/mutants.py": "unit/test_mutants.py::test_mutant_changes_code_that_exists",
    "songswap backfill": "integration/test_backfill_command.py::test_backfill_stops_at_its_limit",
    "songswap check": "integration/test_check.py::test_healthy_platform_passes_every_check",
    "songswap connect": "integration/test_connect.py::test_consent_makes_a_user",
    "songswap dags": "e2e/test_wheel.py::test_dags_in_own_airflow",
    "songswap deployment": "e2e/test_wheel.py::test_deployment_files_build_the_very_same_wheel",
    "songswap demo": "e2e/test_demo.py::test_demo_from_start_to_stop",
    "songswap drain": "integration/test_drain.py::test_drain_stores_what_a_killed_load_left",
    "songswap erase": "integration/test_erase_command.py::test_erase_asks_and_prints_a_receipt",
    "songswap export": "integration/test_export_user.py::test_command_hands_over",
    "songswap grants": "integration/test_grants.py::test_grants_lists_the_most_urgent_first",
    "songswap import": "integration/test_import_command.py::test_import_accounts_for_every_row",
    "songswap load": "integration/test_cli.py::test_load_takes_settings_from_dotenv",
    "songswap maintenance": "integration/test_maintenance.py::test_command_cleans_the_warehouse",
    "songswap migrate": "integration/test_cli.py::test_load_takes_settings_from_dotenv",
    "songswap replay": "integration/test_replay_command.py::test_lost_plays_come_back",
    "songswap simulator": "integration/test_commands.py::test_songswap_simulator_is_the_simulator",
    "songswap spark up": "integration/test_parallel.py::test_a_cluster_as_users_start_it",
    "songswap spool drop": "integration/test_spool_command.py::test_list_show_retry_drop",
    "songswap spool forget": "integration/test_hosts.py::test_host_whose_disk_is_gone_is_forgotten",
    "songswap spool hosts": "integration/test_hosts.py::test_host_whose_disk_is_gone_is_forgotten",
    "songswap spool list": "integration/test_spool_command.py::test_list_show_retry_drop",
    "songswap spool retry": "integration/test_spool_command.py::test_list_show_retry_drop",
    "songswap spool show": "integration/test_spool_command.py::test_list_show_retry_drop",
    "songswap status": "integration/test_backfill_command.py::test_status_needs_only_the_warehouse",
    # Without Docker: what the compose file says is started as its services would be.
    "docker build": "e2e/test_compose_file.py::test_files_are_valid",
    "docker push": "e2e/test_kubernetes_values.py::test_images_are_those_of_compose",
    "docker compose build": "e2e/test_compose_file.py::test_files_are_valid",
    "docker compose down": "e2e/test_compose_file.py::test_compose_accepts_the_file",
    "docker compose exec": "e2e/test_compose_file.py::test_files_are_valid",
    "docker compose logs": "e2e/test_compose_file.py::test_files_are_valid",
    "docker compose ps": "e2e/test_compose_file.py::test_files_are_valid",
    "docker compose run": "e2e/test_deployment.py::test_spark_worker_joins_the_master",
    "docker compose stop": "e2e/test_deployment.py::test_worker_killed_in_the_middle",
    "docker compose up": "e2e/test_deployment.py::test_worker_killed_in_the_middle",
    "docker stats": "containers/test_6_exposure.py::test_memory_stays_below_the_limits",
    "docker volume": "containers/test_3_state.py::test_backup_into_an_empty_volume",
    "docker inspect": "e2e/test_compose_file.py::test_files_are_valid",
    "uv pip install": "integration/test_installation.py::test_each_goal_prepares_what_it_uses",
}
"""The test that runs a command as it is, or what `make` runs for it."""


def commands() -> dict[str, set[str]]:
    """The commands, without their options, and the pages that name them."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        for code in _CODE.findall(page.read_text()):
            for one in _COMMAND.findall(code):
                name = re.sub(r"--profile \S+ ", "", one)
                found.setdefault(name, set()).add(page.name)
    return found


def test_each_is_run_by_a_test() -> None:
    """A command that a page names and that nobody runs here is one that may not work."""
    found = commands()
    assert len(found) > 30
    assert sorted(found.keys() - RUN_BY.keys()) == [], "name the test that runs it in RUN_BY"
    assert sorted(RUN_BY.keys() - found.keys()) == []
    for name, by in RUN_BY.items():
        file, _, test = by.partition("::")
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), (name, by)


def test_documented_options_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that a page gives to one of our commands."""
    groups = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    monkeypatch.syspath_prepend(str(ROOT))
    bench = import_module("benchmarks.__main__").app
    ours = {**groups, "soak": _command(soak), "bench": typer.main.get_command(bench)}
    looked_at = 0
    for page in PAGES:
        for code in _CODE.findall(page.read_text()):
            for line in code.splitlines():
                called = re.search(r"\b(?:make|songswap) (\w+)(?: (\w+))?(.*)", line)
                if called is None or (command := ours.get(called[1])) is None:
                    continue
                command = _subcommand(command, called[2])
                known = {opt for param in command.params for opt in param.opts}
                options = set(_OPTIONS.findall(called[3].partition("#")[0])) - {"--help"}
                assert options <= known, f"{page.name}: {line.strip()}"
                looked_at += len(options)
    assert looked_at > 15


def _subcommand(command: Any, word: str | None) -> Any:
    """That of a group, or the command itself; `make spark` is `songswap spark up`."""
    group = getattr(command, "commands", {})
    return group.get(word) or group.get("up") or command


def _command(function: object) -> Any:
    single = typer.Typer()
    single.command()(function)  # type: ignore[type-var]
    return typer.main.get_command(single)


def test_documented_goals_of_make_exist(tmp_path: Path) -> None:
    """`make` alone is the demo; `.ci/run` runs two of them."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    goals = [name.removeprefix("make ") for name in commands() if name.startswith("make ")]
    said = {goal: _make(tmp_path, goal) for goal in ("", *goals)}
    assert said[""] == said["demo"]
    for goal in set(goals) - {"help"}:
        assert ".venv" in said[goal], goal
    assert re.findall(r"^make (\w+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE) == [
        "lint",
        "test",
    ]


def _make(folder: Path, goal: str) -> str:
    return subprocess.run(  # noqa: S603 - our own Makefile
        ["make", "--dry-run", *goal.split()],  # noqa: S607 - the system's
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _songswap(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "songswap.cli.main", *arguments],
        env={"PATH": os.environ.get("PATH", os.defpath)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_songswap_simulator_is_the_simulator() -> None:
    """It refuses the same options."""
    done = _songswap("simulator", "--clock", "frozen")
    assert (done.returncode, "needs --now" in done.stderr) == (2, True)


@pytest.mark.xdist_group("together")
def test_groups_of_tests_stay_together(request: pytest.FixtureRequest) -> None:
    """Whole stacks, which may not run beside each other, are kept in one worker."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("the tests are not spread over workers by groups")
    assert request.node.nodeid.endswith("@together"), "pytest and pytest-xdist do not fit"
