"""``songswap dags``: prints the folder of the DAG files, for your own Airflow."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from songswap.errors import SettingsError
from songswap.installation.project_files import dags as dags_folder

_BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
_LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
_NAME = "songswap"
# Airflow's own default: its `dags_folder`.
_DEFAULT = [{"name": "dags-folder", "classpath": _LOCAL, "kwargs": {}}]


def dags(
    bundles: Annotated[
        bool,
        typer.Option(
            "--bundles",
            help=f"Print a value for {_BUNDLES} instead: its current value, or else Airflow's own"
            " dags_folder, with this folder added.",
        ),
    ] = False,
) -> None:
    """Print the folder of the DAG files, for your own Airflow's `dags_folder`."""
    folder = dags_folder()
    typer.echo(json.dumps(_with_ours(folder)) if bundles else folder)


def _with_ours(folder: Path) -> list[dict[str, Any]]:
    text = os.environ.get(_BUNDLES, "")
    try:
        bundles = json.loads(text) if text else _DEFAULT
        others = [bundle for bundle in bundles if bundle["name"] != _NAME]
    except (ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"{_BUNDLES} is not a JSON list of bundles with names.") from error
    return [*others, {"name": _NAME, "classpath": _LOCAL, "kwargs": {"path": str(folder)}}]
