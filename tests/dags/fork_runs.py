"""Run DAGs and other scripts, each in a fork of this process, which imports Airflow only once.

    a line of JSON for each run, see `Run` ──▶ fork_runs.py FD ──▶ a line when it has ended

Importing Airflow and building its API takes longer than most DAGs run. Nothing of the pipeline is
imported here: each run imports its own, which may be a broken copy.
"""

import asyncio
import gc
import http
import importlib
import json
import os
import sys
import threading
from typing import NamedTuple

import httpx
import run_dag  # type: ignore[import-not-found]  # noqa: F401  (its imports last)
from airflow import settings
from airflow.configuration import conf
from airflow.sdk.execution_time.supervisor import in_process_api_server
from sqlalchemy.orm import configure_mappers

USUAL = (
    "airflow.dag_processing.collection",
    "airflow.providers.common.sql.operators.sql",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.hitl",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.external_task",
    "alembic.command",
    "boto3.session",
    "obstore.store",
    "psycopg_pool",
    "uvloop",
    "zlib_ng.zlib_ng",
)
"""What most runs import beside the pipeline: another tenth of their CPU."""


class Run(NamedTuple):
    """A run.

    Args:
        script: one of this folder, such as ``run_dag``; with "-c", the argument is code.
        arguments: of its ``main``.
        environment: all environment variables.
        output: the file for standard output and error.
        sources: a folder to search for modules first.
    """

    script: str
    arguments: list[str]
    environment: dict[str, str]
    output: str
    sources: str | None


def become(run: Run) -> None:
    """Turn this process into one that was started for the run."""
    with open(run.output, "wb") as output, open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.clear()
    os.environ.update(run.environment)
    # The one setting of a run that Airflow has read by now.
    settings.DAGS_FOLDER = conf.get_mandatory_value("core", "DAGS_FOLDER")
    if run.sources:
        sys.path.insert(0, run.sources)


async def warm() -> None:
    """Import what is usual; build what Airflow builds at a task's first request: its API, and its
    tables' mappers."""
    for name in USUAL:
        importlib.import_module(name)
    configure_mappers()
    transport = httpx.ASGITransport(in_process_api_server().app)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        response = await client.get("/nothing")  # needs no database
    assert response.status_code == http.HTTPStatus.NOT_FOUND, response.text


def call(script: str, arguments: list[str]) -> None:
    """Do what a script does, or code."""
    if script == "-c":
        (code,) = arguments
        exec(code, {})  # noqa: S102  (a test's own)
    else:
        importlib.import_module(script).main(*arguments)


def main(ends: str) -> None:
    """Serve until standard input ends; write the status of each run to a descriptor."""
    asyncio.run(warm())
    # Each collection of a fork would visit, and so copy, all that was imported: a third of its CPU.
    gc.freeze()
    for line in sys.stdin:
        # A fork copies the state of locks: no thread may hold one.
        assert threading.active_count() == 1
        assert not [name for name in sys.modules if name.partition(".")[0] == "songswap"]
        run = Run(**json.loads(line))
        child = os.fork()
        if child == 0:
            os.close(int(ends))
            become(run)
            call(run.script, run.arguments)
            return
        _, status = os.waitpid(child, 0)
        os.write(int(ends), b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1])
