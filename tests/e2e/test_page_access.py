"""The page's data over HTTP: who gets it, with which headers, and what it says without data."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from e2e import page_rows
from e2e.api_server import ApiServer

from songswap.dev.stack.postgres import Postgres

# One api-server for these and test_page.py.
pytestmark = pytest.mark.xdist_group("page")

SNAPSHOT = "/songswap/snapshot"
USER = "/songswap/users/12"


@contextmanager
def connected(server: ApiServer, dsn: str | None, usual: str, warehouse: str) -> Iterator[None]:
    """Give the page another connection, or none, and end the sessions of the usual one."""
    server.disconnect_page()
    if dsn is not None:
        server.connect_page(dsn)
    end_sessions(warehouse)
    try:
        yield
    finally:
        server.connect_page(usual)
        end_sessions(warehouse)


def end_sessions(warehouse: str) -> None:
    """End the sessions that the api-servers keep."""
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'songswap page'"
        )


@pytest.mark.parametrize("path", [SNAPSHOT, USER])
@pytest.mark.parametrize("kind", ["api_server", "fab_server"])
def test_only_who_may_read_the_dag_reads_the_page(
    request: pytest.FixtureRequest, page_warehouse: str, kind: str, path: str
) -> None:
    """With both of Airflow's auth managers; what is refused says nothing of the data."""
    server: ApiServer = request.getfixturevalue(kind)
    page_rows.write(page_warehouse, datetime.now(UTC), {"users": {"total": 77_077}})
    status, headers, body = server.get(path, None)
    assert status == 401
    assert "77077" not in str(body)
    assert headers["Cache-Control"] == "no-store"
    status, _, body = server.get(path, "nobody")
    assert status == 403
    assert "77077" not in str(body)
    for user in ("viewer", "admin"):
        status, headers, body = server.get(path, user)
        assert status == 200, body
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_nothing_else_is_served(api_server: ApiServer) -> None:
    """Neither a description of the routes, nor files from outside the folder."""
    for path in ("docs", "redoc", "openapi.json", "static/x/..%2Fapp.py", "static/x/app.py", ""):
        status, _, body = api_server.get(f"/songswap/{path}", "admin")
        assert status in (404, 422), (path, body)


def test_plugin_is_described_to_viewers(api_server: ApiServer) -> None:
    """Airflow's pages learn of the plugin from it."""
    status, _, body = api_server.get("/api/v2/plugins", "viewer")
    assert status == 200
    (plugin,) = [one for one in body["plugins"] if one["name"] == "songswap"]
    assert {one["destination"] for one in plugin["react_apps"]} == {"nav", "dashboard"}
    _, _, errors = api_server.get("/api/v2/plugins/importErrors", "admin")
    assert errors["import_errors"] == []


def test_missing_connection_is_named(
    api_server: ApiServer, page_warehouse: str, page_login: str
) -> None:
    """The page works once it is set, without a restart."""
    with connected(api_server, None, page_login, page_warehouse):
        status, _, body = api_server.get(SNAPSHOT, "viewer")
        assert status == 503
        assert "Set the connection SongSwap_RDS_ReadOnly" in body["detail"]
    status, _, _ = api_server.get(SNAPSHOT, "viewer")
    assert status == 200


def test_lost_warehouse_is_named(
    api_server: ApiServer, page_warehouse: str, page_login: str, free_port: Callable[[], int]
) -> None:
    """The error has no password."""
    nowhere = psycopg.conninfo.make_conninfo(page_login, port=str(free_port()), password="hush")
    with connected(api_server, nowhere, page_login, page_warehouse):
        status, headers, body = api_server.get(SNAPSHOT, "viewer")
    assert status == 503
    assert "(connection SongSwap_RDS_ReadOnly) refused or was lost" in body["detail"]
    assert headers["Retry-After"]
    assert "hush" not in str(body)


def test_old_schema_is_named(
    api_server: ApiServer, page_warehouse: str, page_login: str, postgres: Postgres
) -> None:
    """A database without the tables says which command makes them."""
    postgres.create_database("without_tables")
    empty = psycopg.conninfo.make_conninfo(page_login, dbname="without_tables")
    with connected(api_server, empty, page_login, page_warehouse):
        status, _, body = api_server.get(SNAPSHOT, "viewer")
    assert status == 503
    assert "songswap migrate" in body["detail"]


def test_missing_right_is_named(
    api_server: ApiServer, page_warehouse: str, page_login: str
) -> None:
    """A login without SELECT."""
    with psycopg.connect(page_warehouse, autocommit=True) as connection:
        connection.execute("REVOKE SELECT ON songswap.snapshots FROM page")
        status, _, body = api_server.get(SNAPSHOT, "viewer")
        connection.execute("GRANT SELECT ON songswap.snapshots TO page")
    assert status == 503
    assert "lacks a right: permission denied for table snapshots" in body["detail"]


def test_before_the_first_snapshot_there_is_none(
    api_server: ApiServer, page_warehouse: str
) -> None:
    """It is no error."""
    page_rows.write(page_warehouse, datetime.now(UTC), None, hours=0)
    status, _, body = api_server.get(SNAPSHOT, "viewer")
    assert status == 200
    assert body["taken_at"] is None
    assert body["plays_by_hour"] == []


def test_hanging_warehouse_leaves_airflow_working(
    api_server: ApiServer, page_warehouse: str
) -> None:
    """More pages than Airflow has threads wait for a locked table: all are answered."""
    page_rows.write(page_warehouse, datetime.now(UTC), {})
    token = api_server.token("viewer")
    with ThreadPoolExecutor(60) as threads, psycopg.connect(page_warehouse) as connection:
        connection.execute("LOCK TABLE songswap.snapshots IN ACCESS EXCLUSIVE MODE")
        pages = [threads.submit(api_server.get, SNAPSHOT, None, token=token) for _ in range(60)]
        assert api_server.get("/api/v2/dags?limit=1", None, token=token)[0] == 200
        for page in pages:
            status, _, body = page.result()
            assert status == 503
            assert "lock" in body["detail"] or "slow" in body["detail"]
    assert api_server.get(SNAPSHOT, "viewer")[0] == 200
