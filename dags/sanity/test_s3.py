"""
### Does the bucket take, give back and delete objects?

Each day, and on demand, with the tests' connection and one small object below `tests/sanity/`. The
object's name follows from the run's id, so each task knows it by itself.

| task | what it proves |
|---|---|
| `provider` | `apache-airflow-providers-amazon` and the client `obstore` are installed |
| `connections` | the bucket's name, the pipeline's and the tests' connection are set |
| `put` | the bucket takes an object |
| `read` | it gives back what was put |
| `delete` | it deletes the object: tried whenever `put` went well, also after `read` failed |
| `gone` | the object is not given any more |

**When it is red**, its log says what to set where. The hourly load keeps what S3 does not take in
the spool meanwhile; the first run after it is mended archives it.

* *Not set*: set the variable `bucket_name`, or the connection `SongSwap_S3_PutOnly` or
  `SongSwap_S3_TestPutGetDelete`.
* *InvalidAccessKeyId*, *SignatureDoesNotMatch*: correct login and password of the connection.
* *NoSuchBucket*: make the bucket, or correct the variable `bucket_name`.
* *AccessDenied*: allow the tests' key PUT, GET and DELETE below `tests/`.
* *no answer of S3*: check the endpoint (`endpoint_url` in the extra), and the way to it.
* *is still there*: delete the named object by hand.
"""

from datetime import UTC, datetime

from airflow.sdk import dag, task

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import tried_once


@task
def run(step: str) -> None:
    """Run a step of the check."""
    from songswap.orchestration import checks

    checks.run("s3", step)


@dag(
    schedule="20 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["songswap", "sanity", "test"],
    doc_md=__doc__,
    default_args=tried_once(),
    **ALERTS,
)
def test_s3() -> None:
    """Whether the bucket takes, gives back and deletes objects."""
    steps = ("provider", "connections", "put", "read", "delete", "gone")
    provider, connections, put, read, delete, gone = (
        run.override(task_id=step)(step) for step in steps
    )
    provider >> connections >> put >> read >> delete.as_teardown(setups=put)
    # The last task is no teardown: it makes the run red when one of the two before it failed.
    [read, delete] >> gone


test_s3()
