"""The stand-ins of the profile `demo` in docker-compose.yaml: an S3 endpoint and a sign-up.

    python demo.py s3 --host HOST --port PORT --folder FOLDER [--allow-host NAME]
    python demo.py sign-up --simulator URL

Both read the connections and the bucket's name from the environment, as the pipeline does, so that
the demo has no settings of its own.
"""

import os
from pathlib import Path
from typing import Annotated

import psycopg
import typer
import uvicorn
from psycopg.conninfo import conninfo_to_dict

from songswap.dev.simulator.origin import Hosts
from songswap.dev.stack.access import PLATFORM_GRANTS, Access
from songswap.dev.stack.loopback import call_json
from songswap.dev.stack.objects import build_server
from songswap.dev.stack.page_role import let_read
from songswap.dev.stack.sign_up import sign_up as sign_all_up
from songswap.settings import parse_connection, read_only_dsn, warehouse_dsn
from songswap.warehouse import schema
from songswap.warehouse.rights import page_grants

_CONNECTIONS = (
    "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY",
    "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE",
    "AIRFLOW_CONN_SONGSWAP_S3_READONLY",
    "AIRFLOW_CONN_SONGSWAP_S3_ERASE",
)

_PAGE = "AIRFLOW_CONN_SONGSWAP_RDS_READONLY"

app = typer.Typer(help=__doc__)


@app.command()
def s3(
    host: Annotated[str, typer.Option()],
    port: Annotated[int, typer.Option()],
    folder: Annotated[Path, typer.Option()],
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name that it is called by, beside loopback.")
    ] = None,
) -> None:
    """Serve the bucket to the keys of the connections that are set, whose logins have to be the
    roles' names: `pipeline`, `tests`, `reader` and `eraser`."""
    given = [(name, os.environ.get(name, "")) for name in _CONNECTIONS]
    keys = [parse_connection(name, text) for name, text in given if text.strip()]
    access = Access({key.login: key.password for key in keys}, PLATFORM_GRANTS)
    server = build_server(folder, access, hosts=Hosts.of(host, allow_host or ()))
    bucket = os.environ["AIRFLOW_VAR_BUCKET_NAME"]
    if bucket not in {known.name for known in server.state.storage.list_buckets()}:
        server.state.storage.create_bucket(bucket)
    uvicorn.run(server, host=host, port=port, log_level="warning", timeout_keep_alive=120)


@app.command()
def sign_up(simulator: Annotated[str, typer.Option()]) -> None:
    """Sign up the simulator's listeners who are missing in the warehouse, and make the login of the
    page in Airflow, if its connection is set."""
    if os.environ.get(_PAGE, "").strip():
        _let_page_read()
    listeners = call_json("GET", f"{simulator}/admin/listeners")
    signed_up = sign_all_up(warehouse_dsn(os.environ), simulator, listeners, lambda _: None)
    typer.echo(f"{signed_up} listeners signed up.")


def _let_page_read() -> None:
    login = conninfo_to_dict(read_only_dsn(os.environ))
    role, password = str(login["user"]), str(login["password"])
    warehouse = warehouse_dsn(os.environ)
    with psycopg.connect(warehouse) as connection:
        grants = page_grants(schema.find(connection), role)
    let_read(warehouse, role, password, grants)


if __name__ == "__main__":
    app()
