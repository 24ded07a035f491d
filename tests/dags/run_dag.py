"""Run one DAG through ``dag.test()`` in a process of its own, and print what came of it as JSON.

A process of its own, because Airflow reads its settings when it is imported.
"""

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag


def main(dag_id: str) -> None:
    """Print the state of the run, of each task instance, and the run's id."""
    bag = DagBag(Path(__file__).parents[2] / "dags")
    run = bag.dags[dag_id].test(run_conf=json.loads(sys.argv[3]))
    tasks = {
        f"{one.task_id}[{one.map_index}]" if one.map_index >= 0 else one.task_id: str(one.state)
        for one in run.get_task_instances()
    }
    result = {"state": str(run.state), "run_id": run.run_id, "tasks": tasks}
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
