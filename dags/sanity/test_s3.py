"""
### Does the bucket do what is needed of it, and may the pipeline's key do what it must?

Each day, and on demand, with the tests' connection and one small object below `tests/sanity/`. The
object's name follows from the run's id, so each task knows it by itself. The last task tries what
the pipeline's own key may do, with small objects of user 0, who is nobody, and removes them.

| task | what it proves |
|---|---|
| `provider` | `apache-airflow-providers-amazon` and the client `obstore` are installed |
| `connections` | the bucket's name, the pipeline's and the tests' connection are set |
| `put` | the bucket takes an object |
| `conditional` | it does not overwrite an object where it is told not to (`If-None-Match: *`) |
| `read` | it gives back what was put |
| `delete` | it deletes the object: tried whenever `put` went well, also after `read` failed |
| `gone` | the object is not given any more |
| `rights` | the pipeline's key may put answers and exports; its log warns where it may do more |

**When it is red**, its log says what to set where. The hourly load keeps what S3 does not take in
the spool meanwhile; the first run after it is mended archives it.

* *Not set*: set the variable `bucket_name`, or the connection `SongSwap_S3_PutOnly` or
  `SongSwap_S3_TestPutGetDelete`.
* *InvalidAccessKeyId*, *SignatureDoesNotMatch*: correct login and password of the connection.
* *overwrites an object*, *responds to a second put … with*, *NotImplemented*: the server does not
  support conditional puts, on which the archive relies. Use one that does, as AWS S3 does.
* *let the pipeline's key put …*: give that key the policy in docs/deployment.md, "The keys of the
  archive".
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
    """Whether the bucket takes, gives back and deletes objects, and what the keys may do."""
    steps = ("provider", "connections", "put", "conditional", "read", "delete", "gone", "rights")
    provider, connections, put, conditional, read, delete, gone, rights = (
        run.override(task_id=step)(step) for step in steps
    )
    provider >> connections >> put >> conditional >> read >> delete.as_teardown(setups=put)
    # The last tasks are no teardown: they make the run red when one of those before failed.
    [read, delete] >> gone >> rights


test_s3()
