"""
### Erase users for good, once a human has approved it

On demand: removes all of some users from the tables, the archive in S3 and the spool of each host.
From the approval on nothing of them is polled or loaded, until they authorize again. It cannot be
undone.

| task | what it does |
|---|---|
| `preview` | counts what is there of each user; the numbers are in its log and in the approval |
| `approve` | waits up to three days for a human (*Required Actions*); a rejection skips the rest |
| `erase` | for each user: records the request, then erases in the tables and in S3 |
| `wait` | for each user: until each host has erased in its spool, at its next drain |

The XCom of `erase` has the number of the erasure. Its receipt, what was removed where and when, is
in `songswap.erasures` and `songswap.erasure_places`: `songswap erase USER --receipts` prints it.

| param | |
|---|---|
| `users` | their ids, as `12, 13` |
| `keep_account` | leave their rows in `"Users"` and `"SpotifyTokens"`: they can sign in still |

It needs the connection `SongSwap_S3_Erase`, and the right to delete in the tables:
docs/deployment.md has both. It may run beside all other DAGs, and for the same user again.

**When it is red**, read the log of the red task. What was erased stays so, and the rest goes on in
`erase_due_users` each day; clearing the task does it at once.

* *No user was named*, *is not the id of a user*, *There is no user*: start it again with right ids.
* *Nobody approved it*: nothing was done; start it again.
* *Host … its next drain erases there*: the host is away. Start it, or say that its disk is gone:
  `songswap spool forget HOST`.
* *No key may list and delete*: set `SongSwap_S3_Erase`.
* *lacks rights*: have the tables' owner run the GRANTs that are named.
"""

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from songswap.orchestration.approval import Approval
from songswap.orchestration.dag_defaults import PIPELINE_DAG, described, users_param
from songswap.orchestration.retries import LONGEST_TASK, ON_DEMAND_TIMEOUT

BODY = """
All that there is of these users is erased from the tables, the archive and all spools. **It cannot
be undone.**
{% for unit in ti.xcom_pull(task_ids="preview") %}
* {{ unit.sentence }}
{%- endfor %}

Their accounts (`"Users"` and the sign-in) {{ "stay" if params.keep_account else "go too" }}.
"""


@task
def preview() -> list[dict[str, Any]]:
    """Count what is there of each user."""
    from songswap.orchestration import erasure

    return erasure.preview(get_current_context()["params"])


# The result is one XCom, not one for each name. No pool: a replay may hold its slots for a day.
@task(max_active_tis_per_dag=3, execution_timeout=LONGEST_TASK, multiple_outputs=False)
def erase(unit: dict[str, Any]) -> dict[str, Any]:
    """Erase a user in the tables and in S3."""
    from songswap.orchestration import erasure

    return erasure.erase(unit)


@task(execution_timeout=LONGEST_TASK)
def wait(asked: dict[str, Any]) -> None:
    """Wait for each host, and for the last sweep."""
    from songswap.orchestration import erasure

    erasure.wait(asked)


@dag(
    schedule=None,
    dagrun_timeout=ON_DEMAND_TIMEOUT,
    tags=["songswap", "on demand"],
    params={
        "users": users_param(
            "Users to erase",
            "`songswap erase --due` shows who has to be erased, `songswap grants --state active`"
            " the ids of others.",
        ),
        "keep_account": Param(
            False,
            type="boolean",
            title="Keep their accounts",
            description_md='Leave their rows in `"Users"` and `"SpotifyTokens"`: they can sign in'
            " still. **They are loaded again only after they have authorized again.**",
        ),
    },
    **described(__doc__),
    # A run that waits for a human, or for a host, holds up no other.
    **{**PIPELINE_DAG, "max_active_runs": 16},
)
def erase_users() -> None:
    """Erase users from all places."""
    units = preview()
    approve = Approval(task_id="approve", subject="Erase these users for good?", body=BODY)
    erased = erase.expand(unit=units)
    units >> approve >> erased
    wait.expand(asked=erased)


erase_users()
