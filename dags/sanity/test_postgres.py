"""
### Is the warehouse there, as the pipeline needs it?

Each day, and on demand. It reads only.

| task | what it proves |
|---|---|
| `provider` | `apache-airflow-providers-postgres` and the driver `psycopg` are installed |
| `connection` | the connection `SongSwap_RDS` is set |
| `query` | PostgreSQL takes its login, answers, and can be written to |
| `tables` | all tables, the platform's and ours, are there, with the rights that are needed |
| `version` | the pipeline's schema is at the version of this code |
| `log` | says whether the server writes tokens into its log, and what stops that; never red |

**When it is red**, its log says what to set where. The hourly load keeps what Spotify answers in
the spool meanwhile; the first run after it is mended loads it.

* *not set*: set the connection `SongSwap_RDS`.
* *refused or was lost*: check PostgreSQL, then host, port, login, password and schema there.
* *takes no changes*: the host is a replica's; set the primary's.
* *Tables are missing*, *schema is at version*: run `songswap migrate`.
* *lacks rights*: have the tables' owner run the GRANT statements that it names.
"""

from datetime import UTC, datetime

from airflow.sdk import chain, dag, task

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import tried_once


@task
def run(step: str) -> None:
    """Run a step of the check."""
    from songswap.orchestration import checks

    checks.run("postgres", step)


@dag(
    schedule="15 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["songswap", "sanity", "test"],
    doc_md=__doc__,
    default_args=tried_once(),
    **ALERTS,
)
def test_postgres() -> None:
    """Whether the warehouse is as the pipeline needs it."""
    chain(
        *(
            run.override(task_id=step)(step)
            for step in ("provider", "connection", "query", "tables", "version", "log")
        )
    )


test_postgres()
