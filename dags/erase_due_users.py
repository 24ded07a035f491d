"""
### Go on with erasures, and see who has to be erased

Daily. Spotify's terms demand that all of a user is erased within five days after the user
disconnects (`SONGSWAP_ERASE_DAYS`). The tasks do not wait for each other, but for `erase`:

| task | what it does |
|---|---|
| `go_on` | goes on with erasures that wait for something: a host that was away, S3, a right |
| `find_due` | finds whose grant Spotify has refused for good, and who is gone, but not from S3 |
| `erase` | with `SONGSWAP_ERASE_DUE=1`: erases whose day has come, if told before; else skipped |
| `announce` | tells of each user once a day before, and once on the day if nothing erases them |
| `look_after` | removes what has come back into S3 of users who were erased in the last week |

A user who authorizes again before the day is off the list. If so many are gone at once that
`"Users"` itself may be wrong (more than 3, and more than 1 % of the archive's users), none of them
is erased, and a message asks for a human.

Whom it has begun to erase, `go_on` of the next days finishes, when each host has drained its spool.

**When it is red**, read the log of the red task; the next run does all of it again.

* *is not done: Host …*: the host is away. Start it, or say that its disk is gone:
  `songswap spool forget HOST`.
* *No key may list and delete*: set `SongSwap_S3_Erase`.
* *lacks rights*: have the tables' owner run the GRANTs that are named.
* *did not list or give*: check the connection to S3 that is named.
"""

from typing import Any

from airflow.sdk import dag, task

from songswap.orchestration.dag_defaults import PIPELINE_DAG, described
from songswap.orchestration.retries import DAILY_TASK, DAILY_TIMEOUT


@task(execution_timeout=DAILY_TASK)
def go_on() -> None:
    """Do what can be done of open erasures."""
    from songswap.orchestration import due_erasure

    due_erasure.go_on()


@task
def find_due() -> list[dict[str, Any]]:
    """Find who has to be erased now."""
    from songswap.orchestration import due_erasure

    return due_erasure.find_due()


# The result is one XCom, not one for each name. No pool: a replay may hold its slots for a day.
@task(max_active_tis_per_dag=3, execution_timeout=DAILY_TASK, multiple_outputs=False)
def erase(unit: dict[str, Any]) -> dict[str, Any]:
    """Erase a user in the tables and in S3."""
    from songswap.orchestration import erasure

    return erasure.erase(unit)


@task
def announce() -> None:
    """Tell of users who have to be erased."""
    from songswap.orchestration import due_erasure

    due_erasure.announce()


@task(execution_timeout=DAILY_TASK)
def look_after() -> None:
    """Remove what has come back into S3."""
    from songswap.orchestration import due_erasure

    due_erasure.look_after()


@dag(
    schedule="20 4 * * *",
    dagrun_timeout=DAILY_TIMEOUT,
    tags=["songswap", "daily"],
    **described(__doc__),
    **PIPELINE_DAG,
)
def erase_due_users() -> None:
    """Erase what has to be erased, and tell of it."""
    go_on()
    erase.expand(unit=find_due())
    announce()
    look_after()


erase_due_users()
