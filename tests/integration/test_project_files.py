"""`songswap dags` and `songswap deployment` of a clone; tests/e2e/test_wheel.py has a wheel's."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from songswap.cli.main import app
from songswap.errors import SettingsError
from songswap.installation import project_files

DAGS = Path(__file__).parents[2] / "dags"
BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
OURS = {"name": "songswap", "classpath": LOCAL, "kwargs": {"path": str(DAGS)}}


def run(*words: str, **environment: str) -> Result:
    """What a command prints."""
    return CliRunner().invoke(app, words, env={BUNDLES: "", **environment})


def test_folder_alone_is_printed() -> None:
    """A shell can set Airflow's variable to it."""
    assert run("dags").stdout == f"{DAGS}\n"


def test_bundle_is_added_to_existing_ones() -> None:
    """Or to Airflow's own default."""
    [default, ours] = json.loads(run("dags", "--bundles").stdout)
    assert default == {"name": "dags-folder", "classpath": LOCAL, "kwargs": {}}
    assert ours == OURS

    git = {"name": "git", "classpath": "a.Bundle", "kwargs": {"b": 1}, "team_name": "c"}
    before = json.dumps([OURS | {"kwargs": {"path": "/an/earlier/version"}}, git])
    assert json.loads(run("dags", "--bundles", **{BUNDLES: before}).stdout) == [git, OURS]


@pytest.mark.parametrize("text", ["{", "7", "[7]", '[{"classpath": "a.Bundle"}]'])
def test_bundles_that_cannot_be_read(text: str) -> None:
    """They are refused by the variable's name."""
    with pytest.raises(SettingsError, match=f"^{BUNDLES} is not a JSON list of bundles"):
        raise run("dags", "--bundles", **{BUNDLES: text}).exception or AssertionError


def test_deployment_overwrites_nothing(tmp_path: Path) -> None:
    """An empty folder is filled; one that holds something, or cannot be written, is refused."""
    project_files.write_deployment(tmp_path)
    assert (tmp_path / "docker-compose.yaml").is_file()
    (tmp_path / "docker-compose.yaml").write_text("mine")
    with pytest.raises(SettingsError, match=r"is not empty\. Nothing was written"):
        project_files.write_deployment(tmp_path)
    assert (tmp_path / "docker-compose.yaml").read_text() == "mine"
    with pytest.raises(SettingsError, match="was not written, or only in part"):
        project_files.write_deployment(tmp_path / "docker-compose.yaml" / "below")


def test_installation_without_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of an image says where its DAG files are."""
    monkeypatch.setattr(project_files, "_PLACES", (tmp_path / "files", tmp_path))
    with pytest.raises(SettingsError, match="/opt/airflow/dags"):
        project_files.dags()
