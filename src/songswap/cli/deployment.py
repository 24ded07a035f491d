"""``songswap deployment``: writes the files of a deployment with Docker."""

from pathlib import Path
from typing import Annotated

import typer

from songswap.installation.project_files import write_deployment
from songswap.terminal.console import err


def deployment(
    folder: Annotated[Path, typer.Argument(help="A new or an empty folder.")],
) -> None:
    """Write the files of a deployment with Docker, and the sources of its images.

    They are of the installed version: docker-compose.yaml, docker.env.example, Dockerfile, sources.
    """
    target = folder.expanduser().absolute()
    write_deployment(target)
    err.say(
        f"Wrote {target}. In it: cp docker.env.example .env, fill it in, and"
        " docker compose up --build -d"
    )
