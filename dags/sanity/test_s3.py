"""
### Check that the bucket works, and what the pipeline's key may do

Runs daily and on demand, with the tests' connection and one small object below `tests/sanity/`. The
object's name follows from the run's id, so each task derives it by itself. The last tasks try the
rights of the pipeline's own key, and of the key that erases users, with small objects of user 0,
who does not exist.

| task | what it checks |
|---|---|
| `provider` | `apache-airflow-providers-amazon` and the client `obstore` are installed |
| `connections` | the bucket's name, the pipeline's and the tests' connection are set |
| `put` | the bucket stores an object |
| `conditional` | it does not overwrite an object where that is forbidden (`If-None-Match: *`) |
| `read` | it returns the object unchanged |
| `delete` | it deletes the object: runs whenever `put` succeeded, also after `read` failed |
| `gone` | it does not return the deleted object |
| `rights` | the pipeline's key may put responses and exports; warns where it may do more |
| `erasing` | the key that erases users, if there is one, may list and delete; warns likewise |
| `expiry` | the bucket deletes raw responses by itself when `SONGSWAP_KEEP_RAW_DAYS` says |

**When it is red**, the log says what to set where. Meanwhile the hourly load stores what S3 does
not take in the spool; the first run after the fix archives it.

* *Not set*: set the variable `bucket_name`, or the connection `SongSwap_S3_PutOnly` or
  `SongSwap_S3_TestPutGetDelete`.
* *InvalidAccessKeyId*, *SignatureDoesNotMatch*: correct login and password of the connection.
* *overwrites an object*, *responds to a second put … with*, *NotImplemented*: the server does not
  support conditional puts, on which the archive relies. Use one that does, as AWS S3 does.
* *let the pipeline's key put …*: give that key the policy in docs/deployment.md, "The keys of the
  archive".
* *may have the object … left*: give the key of `SongSwap_S3_Erase` its policy, in that section too.
* *lifecycle policy is another one*, *deletes raw data*: set the policy or the setting, as
  docs/deployment.md says, "Raw responses expire". Until then more is kept, or less, than you mean.
* *NoSuchBucket*: create the bucket, or correct the variable `bucket_name`.
* *AccessDenied*: allow the tests' key PUT, GET and DELETE below `tests/`.
* *no answer of S3*: check the endpoint (`endpoint_url` in the extra), and the route to it.
* *is still there*: delete the named object by hand.
"""

from airflow.sdk import dag

from songswap.orchestration.dag_defaults import TEST_DAG, described
from songswap.orchestration.sanity import check_tasks


@dag(
    schedule="20 4 * * *",
    tags=["songswap", "daily", "sanity", "test"],
    **described(__doc__),
    **TEST_DAG,
)
def test_s3() -> None:
    """Check that the bucket stores, returns and deletes objects, and what the keys may do."""
    steps = ("provider", "connections", "put", "conditional", "read", "delete", "gone")
    provider, connections, put, conditional, read, delete, gone = check_tasks("s3", *steps)
    rights, erasing, expiry = check_tasks("s3", "rights", "erasing", "expiry")
    delete.as_teardown(setups=put)  # type: ignore[arg-type]  # Airflow takes the task's result
    provider >> connections >> put >> conditional >> read >> delete
    # No teardown comes last: the run is red if any task failed.
    [read, delete] >> gone >> rights >> erasing >> expiry


test_s3()
