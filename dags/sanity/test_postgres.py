"""
### Check that the warehouse is as the pipeline needs it

Runs daily and on demand. It only reads.

| task | what it checks |
|---|---|
| `provider` | `apache-airflow-providers-postgres` and the driver `psycopg` are installed |
| `connection` | the connection `SongSwap_RDS` is set |
| `query` | PostgreSQL accepts its login, responds, and can be written to |
| `tables` | all tables, the platform's and ours, exist, with the rights that are needed |
| `version` | the pipeline's schema is at the version of this code |
| `read_only` | where `SongSwap_RDS_ReadOnly` is set, its login can read, and write nothing |
| `log` | reports whether the server logs tokens, and how to stop it; never red |

**When it is red**, the log says what to set where. Meanwhile the hourly load stores Spotify's
responses in the spool; the first run after the fix loads them.

* *not set*: set the connection `SongSwap_RDS`.
* *refused or was lost*: check PostgreSQL, then the connection's host, port, login, password and
  schema.
* *takes no changes*: the host is a replica's; set the primary's.
* *Tables are missing*, *schema is at version*: run `songswap migrate`.
* *lacks rights*: have the tables' owner run the GRANT statements in the log.
"""

from airflow.sdk import chain, dag

from songswap.orchestration.dag_defaults import TEST_DAG, described
from songswap.orchestration.sanity import check_tasks


@dag(
    schedule="15 4 * * *",
    tags=["songswap", "daily", "sanity", "test"],
    **described(__doc__),
    **TEST_DAG,
)
def test_postgres() -> None:
    """Check that the warehouse is as the pipeline needs it."""
    steps = ("provider", "connection", "query", "tables", "version", "read_only", "log")
    chain(*check_tasks("postgres", *steps))


test_postgres()
