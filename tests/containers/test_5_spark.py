"""Work that is spread over the Spark cluster, one of whose workers is killed meanwhile."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from containers import site
from containers.deployment import Deployment

from songswap.supervision.process import wait_until

_MASTER = ("--engine", "spark", "--master", "spark://spark-master:7077")
_USER = "listener-0001"
_PUT_EXPORT = Path(__file__).parent / "put_export.py"


def test_spark_comes_up(deployment: Deployment) -> None:
    """The profile and its secret add a master and two workers, and recreate nothing."""
    before = deployment.ids()
    deployment.settings |= {
        "COMPOSE_PROFILES": "flower,demo,spark",
        "SONGSWAP_SPARK_SECRET": secrets.token_hex(32),
    }
    site.write_settings(deployment.folder, deployment.settings)
    with deployment.measured("the Spark profile, with the build of its image"):
        deployment.compose("up", "--build", "-d", "--wait")
    assert before.items() < deployment.ids().items()
    assert len(deployment.containers("spark-worker")) == 2


def test_replay_survives_a_killed_worker(deployment: Deployment) -> None:
    """A replay brings back what was lost from `History`, although a Spark worker dies."""
    deployment.idle()
    before = deployment.history()
    deployment.sql('DELETE FROM "History"')
    with deployment.measured("a replay of the archive whose Spark worker was killed"):
        counts = _spread_and_kill(deployment, "replay")
    assert counts
    assert deployment.history() == before
    deployment.wait_well()


def test_import_survives_a_killed_worker(deployment: Deployment) -> None:
    """An export in S3 is imported whole, although a Spark worker dies; the same import again
    changes nothing."""
    ids = dict(deployment.sql('SELECT spotify_id, id FROM "Users"'))
    key = f"history/export/users/user{ids[_USER]}.zip"
    put = ("exec", "-T", "airflow-worker", "python", "-", _USER, key)
    deployment.compose(*put, data=_PUT_EXPORT.read_bytes())
    source = "s3://songswap/history/export/users"
    with deployment.measured("an import from S3 whose Spark worker was killed"):
        _spread_and_kill(deployment, "import", source)
    truth = deployment.simulator("GET", f"listeners/{_USER}/export/truth").splitlines()
    plays = {
        (one["played_at"], one["track_id"])
        for one in map(json.loads, truth)
        if one["category"] == "play"
    }
    loaded = deployment.history()
    assert max(loaded.values()) == 1
    # The account lives on: the truth may have a play more than the export.
    assert len(plays) - 5 <= sum(1 for play in loaded if play[0] == _USER) <= len(plays) + 5
    deployment.compose("run", "--rm", "spark-driver", "songswap", "import", source, *_MASTER)
    assert deployment.history() == loaded
    deployment.wait_well()


def test_up_after_spark_recreates_nothing(deployment: Deployment) -> None:
    """Whatever was run on the cluster, the next `up` leaves all containers as they are."""
    before = deployment.ids()
    deployment.compose("up", "--build", "-d", "--wait")
    assert deployment.ids() == before


def _spread_and_kill(deployment: Deployment, *command: str) -> str:
    """Run a command on the cluster, and kill a worker once the cluster works for it."""
    run = ("run", "--rm", "spark-driver", "songswap", *command, *_MASTER, "--json")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(deployment.compose, *run)
        assert wait_until(lambda: running.done() or _executors(deployment) > 0, 300, 0.3)
        assert not running.done(), running.result()
        deployment.kill(deployment.containers("spark-worker")[0]["ID"])
        return running.result()


def _executors(deployment: Deployment) -> int:
    """The executors that run on the first worker."""
    worker = deployment.containers("spark-worker")[0]["ID"]
    ask = 'curl --fail --silent "http://$HOSTNAME:8091/json/"'
    output = deployment.docker.run("exec", worker, "sh", "-c", ask, check=False)
    return len(json.loads(output.stdout)["executors"]) if output.returncode == 0 else 0
