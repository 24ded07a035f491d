"""A standalone Spark cluster: a master and workers as supervised processes of this machine."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from songswap.parallel.spark_runtime import JAVA_OPTIONS, java_environment, spark_home
from songswap.parallel.spark_session import as_properties, own_address, secret_configuration
from songswap.supervision.errors import StartRefused
from songswap.supervision.private import write_private
from songswap.supervision.process import Process, stop_all, stop_leftovers, wait_until
from songswap.terminal.progress import Progress, Say

_START_S = 90
_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Layout:
    """The parts of a cluster on this machine.

    Attributes:
        workers: how many.
        cores: of each worker, the tasks that it runs at once.
        memory_mb: of each worker, for the Java of its sessions, 512 MB each.
        host: the name or address that the master listens on and is reached at.
        port, ui_port: of the master; 0 is any free one.
        worker_ui_port: of the first worker; 0 is any free one.
        master: the address of a master that runs elsewhere; none is started then.
        secret: shared by all parts and their users; none if empty.
    """

    workers: int
    cores: int
    memory_mb: int
    host: str = _LOOPBACK
    port: int = 0
    ui_port: int = 0
    worker_ui_port: int = 0
    master: str = ""
    secret: str = ""


class Cluster:
    """The part of a cluster that runs on this machine.

    Args:
        folder: for logs and the workers' files; the caller holds its lock.
        layout: the parts to start.

    Raises:
        StartRefused: other machines could reach it, and there is no secret.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        place = layout.master or f"spark://{layout.host}:"
        if not layout.secret and not place.startswith(f"spark://{_LOOPBACK}:"):
            raise StartRefused(
                "Other machines could have their code run here: set SONGSWAP_SPARK_SECRET, the same"
                " for the master, all workers and those who use them."
            )
        self.url = layout.master
        self.ui_url = ""
        self.workers: list[Process] = []
        self._folder = folder
        self._layout = layout
        self._master: Process | None = None

    def start(self, progress: Progress) -> None:
        """Start the parts, and wait until the workers have registered.

        Raises:
            SettingsError: the extra `spark` is not installed.
            StackError: a part did not start; the text begins with the last lines of its log.
            WorkerLost: the master elsewhere does not respond.
        """
        spark_home()
        shutil.rmtree(self._work, ignore_errors=True)
        configuration = {
            "spark.master.rest.enabled": "false",
            "spark.ui.killEnabled": "false",
            "spark.port.maxRetries": "0",
            **secret_configuration(self._layout.secret),
        }
        # In a file: the list of processes shows arguments.
        write_private(self._folder / "spark-defaults.conf", as_properties(configuration))
        if not self._layout.master:
            with progress.step("Spark's master"):
                self._start_master()
        if self._layout.workers:
            with progress.step(f"Spark's workers ({self._layout.workers})") as say:
                self._start_workers(say)

    def require_running(self) -> Sequence[Process]:
        """Return the workers that have ended.

        Raises:
            StackError: the master has ended, or all workers; with the last lines of its log.
        """
        if self._master is not None and not self._master.running:
            raise self._master.failure("Spark's master ended.")
        ended = [worker for worker in self.workers if not worker.running]
        if ended and len(ended) == len(self.workers):
            raise ended[-1].failure("All workers ended.")
        return ended

    def stop(self) -> None:
        """Stop all that was started, by the workers too, within 10 s."""
        stop_all([*self.workers, *([self._master] if self._master else [])], timeout_s=6)
        stop_leftovers(self._folder, timeout_s=2)

    @property
    def _work(self) -> Path:
        return self._folder / "work"

    def _start_master(self) -> None:
        layout = self._layout
        options = ["--host", layout.host, "--port", str(layout.port)]
        options += ["--webui-port", str(layout.ui_port)]
        self._master = self._process("Spark's master", "master", _MASTER, options, layout.host)
        self._master.start()
        self._master.wait_ready(lambda: "New state: ALIVE" in self._output(), _START_S)
        ui_port = re.search(r"Bound MasterWebUI to .*:(\d+)$", self._output(), re.MULTILINE)
        url = re.search(r"Starting Spark master at (\S+)$", self._output(), re.MULTILINE)
        if url is None or ui_port is None:
            raise self._master.failure("Spark's master did not say where it listens.")
        self.url, self.ui_url = url[1], f"http://{layout.host}:{ui_port[1]}"

    def _start_workers(self, say: Say) -> None:
        layout = self._layout
        address = own_address(self.url)
        for number in range(1, layout.workers + 1):
            ui_port = layout.worker_ui_port and layout.worker_ui_port + number - 1
            options = ["--host", address, "--port", "0", "--webui-port", str(ui_port)]
            options += ["--cores", str(layout.cores), "--memory", f"{layout.memory_mb}m"]
            options += ["--work-dir", str(self._work / str(number)), self.url]
            name = f"worker-{number}"
            self.workers.append(self._process(f"Spark's {name}", name, _WORKER, options, address))
        for worker in self.workers:
            worker.start()

        def all_registered() -> bool:
            self._require_all()
            count = sum("Successfully registered" in worker.output() for worker in self.workers)
            say(f"{count} of {layout.workers} have registered")
            return count == layout.workers

        if not wait_until(all_registered, _START_S):
            raise self.workers[-1].failure(f"Not all workers had registered after {_START_S} s.")

    def _require_all(self) -> None:
        for worker in self.require_running():
            raise worker.failure(f"{worker.name} ended while it was starting.")

    def _process(
        self, name: str, file: str, program: str, options: Sequence[str], address: str
    ) -> Process:
        return Process(
            name,
            [
                *(str(spark_home() / "bin/spark-class"), program),
                *("--properties-file", str(self._folder / "spark-defaults.conf"), *options),
            ],
            log=self._folder / f"{file}.log",
            mark=self._folder,
            environment={
                **java_environment(address, self._folder),
                "SPARK_DAEMON_MEMORY": "256m",
                "SPARK_DAEMON_JAVA_OPTS": JAVA_OPTIONS,
                "SPARK_LOCAL_DIRS": str(self._folder / "work"),
            },
        )

    def _output(self) -> str:
        return self._master.output() if self._master else ""
