"""What a user of the wheel has: commands, DAG files, the deployment, and nothing private."""

import filecmp
import json
import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from built_wheel import PRIVATE, REPOSITORY, Wheel, new_environment, run_tool
from packaging.metadata import Metadata

import songswap

# One environment for these and the demo.
pytestmark = pytest.mark.xdist_group("stack")

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
FILES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["files"]
STATIC = "src/songswap/orchestration/web/static"
"""The files of the page in Airflow."""
LOOK = """
import json, sys
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag

bundle = DagBundlesManager().get_bundle("songswap")
bag = DagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
print(json.dumps([str(bundle.path), sorted(bag.dags), bag.import_errors]), file=sys.stderr)
"""


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What is in each file below a folder, and who may do what with it."""
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mode & 0o111)
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def tracked() -> list[str]:
    """What belongs to the project; of an unpacked source archive only a part is known."""
    if not (REPOSITORY / ".git").exists():
        return ["Makefile", "requirements.lock", "tests/conftest.py"]
    return subprocess.run(
        ["git", "ls-files"],  # noqa: S607  (the system's)
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()


def test_archives_are_valid_and_hold_only_the_project(wheel: Wheel) -> None:
    """They are built without a warning."""
    assert "warning" not in wheel.said.lower()
    version = songswap.__version__
    assert wheel.path.name == f"songswap_airflow-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel.path) as archive:
        wheel_names = archive.namelist()
        result = archive.read(f"songswap_airflow-{version}.dist-info/METADATA")
    metadata = Metadata.from_email(result, validate=True)
    assert str(metadata.version) == version
    static = {path.name for path in (REPOSITORY / STATIC).iterdir()}
    assert {f"{STATIC}/{name}".removeprefix("src/") for name in static} <= set(wheel_names)
    assert metadata.description == (REPOSITORY / "README.md").read_text()

    root = f"songswap_airflow-{version}"
    with tarfile.open(wheel.archive) as archive:
        archive_names = [name.removeprefix(f"{root}/") for name in archive.getnames()]
    assert set(tracked()) <= set(archive_names), "name it in pyproject.toml"
    for name in PRIVATE:
        assert not [
            wheel_name
            for wheel_name in wheel_names + archive_names
            if wheel_name.endswith(f"/{name}")
        ]
        assert name not in archive_names


def test_command_prints_the_one_version(wheel: Wheel, tmp_path: Path) -> None:
    assert wheel.songswap(tmp_path, "--version") == f"{songswap.__version__}\n"


def test_dags_in_own_airflow(wheel: Wheel, tmp_path: Path) -> None:
    """The folder, as `songswap dags` prints it, and the bundle give Airflow all DAGs."""
    folder = wheel.songswap(tmp_path, "dags")
    bundles = wheel.songswap(tmp_path, "dags", "--bundles")
    done = subprocess.run(  # noqa: S603  (our own words)
        [wheel.environment / "bin/python", "-c", LOOK],
        env={
            "HOME": str(tmp_path),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundles,
        },
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path, dags, errors = json.loads(done.stderr.splitlines()[-1])
    assert errors == {}
    assert len(dags) == 20
    assert folder == f"{path}\n"
    assert Path(path).is_relative_to(wheel.environment)
    assert contents(Path(path)) == contents(REPOSITORY / "dags")


def test_deployment_files_build_the_very_same_wheel(wheel: Wheel, tmp_path: Path) -> None:
    wheel.songswap(tmp_path, "deployment", "here")
    target = tmp_path / "here"
    assert {file.name for file in target.iterdir()} == {*FILES, "src"}
    for name in FILES:
        if (REPOSITORY / name).is_dir():
            assert contents(target / name) == contents(REPOSITORY / name)
        else:
            assert filecmp.cmp(target / name, REPOSITORY / name, shallow=False)
    assert contents(target / "src") == contents(REPOSITORY / "src")
    ignored = (target / ".dockerignore").read_text().splitlines()
    for name in (line[1:] for line in ignored if line.startswith("!")):
        assert (target / name).exists()

    run_tool("build", "--no-isolation", "--wheel", "--outdir", tmp_path, target)
    assert filecmp.cmp(tmp_path / wheel.path.name, wheel.path, shallow=False)


def test_image_has_the_package(wheel: Wheel, tmp_path: Path) -> None:
    """What the Dockerfile copies before it builds the package is enough for that."""
    wheel.songswap(tmp_path, "deployment", "here")
    build = (tmp_path / "here/Dockerfile").read_text().partition(" AS build-demo")[0]
    context = tmp_path / "context"
    context.mkdir()
    for names in re.findall(r"^COPY (.*) \S+$", build, re.MULTILINE):
        for name in names.split():
            (tmp_path / "here" / name).rename(context / name)
    run_tool("build", "--no-isolation", "--wheel", "--outdir", tmp_path, context)
    with zipfile.ZipFile(wheel.path) as whole, zipfile.ZipFile(tmp_path / wheel.path.name) as part:
        package = {name for name in whole.namelist() if not name.startswith("songswap/files/")}
        assert set(part.namelist()) == package


def test_missing_extras_name_the_command_that_installs_them(wheel: Wheel, tmp_path: Path) -> None:
    bare = new_environment(tmp_path / "bare", str(wheel.path))
    done = subprocess.run(  # noqa: S603  (our own command)
        [bare / "bin/songswap", "demo"],
        env={"HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "pip install 'songswap-airflow[airflow,local]'" in done.stderr
