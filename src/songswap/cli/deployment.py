"""``songswap deployment``: what Docker builds and runs, of the version that is installed."""

from pathlib import Path
from typing import Annotated

import typer

from songswap.installation.project_files import write_deployment
from songswap.terminal.console import err


def deployment(
    folder: Annotated[Path, typer.Argument(help="A new or an empty folder.")],
) -> None:
    """Write the files of a deployment with Docker, and what its images are built from.

    They are this version's: docker-compose.yaml, docker.env.example, Dockerfile and the sources.
    """
    target = folder.expanduser().absolute()
    write_deployment(target)
    err.say(
        f"{target} is written. There: cp docker.env.example .env, fill it in, and"
        " docker compose up --build -d"
    )
