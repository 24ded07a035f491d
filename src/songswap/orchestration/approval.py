"""The approval of a run by a human, in Airflow's list of required actions."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

_WAITS = timedelta(days=3)


class Approval(ApprovalOperator):
    """Waits for a human, without holding a worker; a rejection skips all that follows.

    Args:
        subject, body: what it is about; templates, in which nothing from outside may stand.
    """

    def __init__(self, *, task_id: str, subject: str, body: str, **more: Any) -> None:
        # Airflow's own would cut off the wait after the time of a task's try, and ask again.
        fixed = {"response_timeout": _WAITS, "execution_timeout": None, "retries": 0}
        super().__init__(task_id=task_id, subject=subject, body=body, **{**more, **fixed})

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        """Fail with a sentence.

        Raises:
            RunFailed: nobody answered in time, or the answer cannot be read.
        """
        from songswap.errors import RunFailed

        if event["error_type"] == "timeout":
            raise RunFailed(
                f"Nobody approved it within {_WAITS.days} days, and nothing was done. Start the DAG"
                " again, and approve it in Airflow under Browse, Required Actions."
            )
        raise RunFailed(f"The answer could not be read, and nothing was done: {event['error']}")
