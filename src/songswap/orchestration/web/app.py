"""The application below ``/songswap`` of Airflow's api-server.

Airflow does not protect mounted applications: each route depends on a login of Airflow, but for the
static files, which are the same for everybody, and `health`, which has a token of its own.
"""

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, FastAPI

from songswap.orchestration.web import data, health, static_files
from songswap.orchestration.web.answers import Headers, answer_errors

DAG = "load_listening_history"
"""Who may read this DAG may read the page."""


def create_app() -> FastAPI:
    """Return the application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    protected = APIRouter(dependencies=[Depends(requires_access_dag("GET", param_dag_id=DAG))])
    protected.include_router(data.router)
    app.include_router(protected)
    app.include_router(health.router)
    app.include_router(static_files.router)
    answer_errors(app)
    app.add_middleware(Headers)
    return app
