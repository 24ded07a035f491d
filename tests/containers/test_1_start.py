"""The first time, as docs/deployment.md tells it."""

from http import HTTPStatus

import pytest
from containers import site
from containers.deployment import LOAD, Deployment

from songswap.supervision.process import wait_until


def test_each_missing_variable_is_named(deployment: Deployment) -> None:
    """Without a required variable nothing starts, and its own sentence says what it is."""
    required = site.required(deployment.folder)
    assert len(required) > 10
    for name, sentence in required.items():
        left = {key: text for key, text in deployment.settings.items() if key != name}
        site.write_settings(deployment.folder, left)
        done = deployment.docker.run(
            "compose", "up", "--build", "-d", "--wait", cwd=deployment.folder, check=False
        )
        assert done.returncode != 0, name
        assert name in done.stderr
        assert sentence in done.stderr
    site.write_settings(deployment.folder, deployment.settings)
    assert deployment.containers() == []


def test_up_as_documented(deployment: Deployment) -> None:
    """One command builds the images and starts everything; all of it is healthy then."""
    with deployment.measured("first `up --build -d --wait`, with the build of the images"):
        deployment.compose("up", "--build", "-d", "--wait")
    assert deployment.unwell() == []
    assert len(deployment.containers()) > 10


def test_all_scheduled_dags_are_green(deployment: Deployment) -> None:
    """Every DAG with a schedule has run by itself, and each of its runs was green."""
    with deployment.measured("first green load after `up`"):
        assert wait_until(lambda: LOAD in deployment.api.dags(), 120, 1)
        assert wait_until(lambda: bool(deployment.api.runs(LOAD)), 120, 1)
        deployment.wait_green(deployment.api.runs(LOAD)[-1][0])

    def unfinished() -> list[str]:
        runs = {dag: deployment.api.runs(dag) for dag in deployment.api.scheduled()}
        failed = [(dag, run) for dag in runs for run, state in runs[dag] if state == "failed"]
        assert failed == []
        return [dag for dag in runs if not any(state == "success" for _, state in runs[dag])]

    with deployment.measured("all scheduled DAGs green after that"):
        assert wait_until(lambda: not unfinished(), 900, 5), unfinished()
    assert deployment.api.import_errors() == {}
    assert len(deployment.api.scheduled()) > 10


def test_history_holds_every_play_spotify_could_return(deployment: Deployment) -> None:
    """`History` has the plays of the simulator's ledger that it could return, each once."""
    deployment.run()
    deployment.idle()
    assert deployment.assert_history_is_ledger() > 1000


def test_only_the_admin_gets_in(deployment: Deployment) -> None:
    """The first admin's password is the one in .env, and no other."""
    password = deployment.settings["SONGSWAP_ADMIN_PASSWORD"]
    assert deployment.login(password) == HTTPStatus.OK
    assert deployment.login("wrong") == HTTPStatus.UNAUTHORIZED
    ask = ("exec", "-T", "flower", "curl", "--silent", "--output", "/dev/null")
    code = ("--write-out", "%{http_code}", "http://localhost:5555/api/workers")
    assert deployment.compose(*ask, *code) == "401"


@pytest.mark.parametrize("command", [("up", "--build", "-d", "--wait"), ("up", "-d")])
def test_second_up_recreates_nothing(deployment: Deployment, command: tuple[str, ...]) -> None:
    """What runs stays, in the very containers; only init has run again."""
    before = deployment.ids()
    with deployment.measured(f"second `{' '.join(command)}`"):
        deployment.compose(*command)
    deployment.wait_well()
    assert deployment.ids() == before
