"""The project's files that are not modules: the DAG files, the deployment, the examples.

A wheel has them in the package's folder `files`, see hatch_build.py. In a clone, from which an
editable install runs, they are at its root.
"""

import shutil
import tomllib
from pathlib import Path

import songswap
from songswap.errors import SettingsError

_PACKAGE = Path(songswap.__file__).parent
_PLACES = (_PACKAGE / "files", _PACKAGE.parents[1])


def dags() -> Path:
    """The folder of the DAG files.

    Raises:
        SettingsError: this installation does not have them.
    """
    return _folder() / "dags"


def write_deployment(target: Path) -> None:
    """Write the files of images and of Compose into a new or empty folder.

    Raises:
        SettingsError: the folder is not empty or cannot be written, or this installation does not
            have the files.
    """
    source = _folder()
    text = (source / "pyproject.toml").read_text()
    wheel = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise SettingsError(
                f"{target} is not empty. Nothing was written: name a new or an empty folder."
            )
        for name in wheel["hooks"]["custom"]["files"]:
            _copy(source / name, target / name)
        _copy(_PACKAGE, target / "src/songswap")
    except OSError as error:
        raise SettingsError(
            f"{target} was not written, or only in part ({error}): remove it, and name a writable"
            " folder."
        ) from error


def _folder() -> Path:
    for place in _PLACES:
        if (place / "pyproject.toml").is_file() and (place / "dags").is_dir():
            return place
    raise SettingsError(
        f"There are no DAG files and no deployment beside {_PACKAGE}. Install the project's wheel,"
        " or run it from a clone; in an image the DAG files are in /opt/airflow/dags."
    )


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        # Python's caches, and the other files in a wheel's package.
        leave_out = shutil.ignore_patterns("__pycache__", _PLACES[0].name)
        shutil.copytree(source, target, ignore=leave_out)
    else:
        shutil.copy(source, target)
