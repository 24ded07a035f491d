"""The S3 endpoint of `songswap.dev.stack.objects` as a supervised child process."""

import os
import sys
from pathlib import Path

from songswap.dev.stack.access import Access
from songswap.supervision.private import write_private
from songswap.supervision.process import Process

REGION = "us-east-1"


class ObjectStore:
    """An S3 endpoint on 127.0.0.1 that keeps its objects below one folder.

    Args:
        folder: holds the objects, the access file (0600) and the log; created when missing.
        port: the TCP port; 0 takes a free one, and keeps it over a restart.
        access: the keys and their rights.
        buckets: are made when they are missing.
        keep_free_bytes: puts are refused when the disk would have less left.
        mark: the folder whose stack the endpoint belongs to; `folder` itself when not given.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        access: Access,
        *,
        buckets: tuple[str, ...] = (),
        keep_free_bytes: int = 64 * 2**20,
        mark: Path | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.access = access
        self.port = port
        self._buckets = buckets
        self._keep_free_bytes = keep_free_bytes
        self._mark = mark or self.folder
        self.process = self._new_process()

    @property
    def objects(self) -> Path:
        """Where the objects lie: `<bucket>/<key>`."""
        return self.folder / "objects"

    @property
    def url(self) -> str:
        """The endpoint's address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout_s: float = 30) -> None:
        """Starts the endpoint and waits until it listens.

        Raises:
            StackError: it did not start; the text begins with the last lines of its log.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.access_file, self.access.to_json())
        self.process = self._new_process()  # with the port that the first start took
        self.process.start()
        self.process.wait_ready(lambda: "S3 listens on" in self.process.output(), timeout_s)
        self.port = int(self.process.output().splitlines()[0].rpartition(":")[2])

    def stop(self, timeout_s: float = 5) -> None:
        """Stops the endpoint."""
        self.process.stop(timeout_s)

    @property
    def access_file(self) -> Path:
        """The keys and their rights, as `songswap.dev.stack.access` writes them."""
        return self.folder / "access.json"

    def _new_process(self) -> Process:
        command = [
            sys.executable,
            "-m",
            "songswap.dev.stack.objects",
            "--folder",
            str(self.objects),
        ]
        command += ["--port", str(self.port), "--access", str(self.access_file)]
        command += ["--keep-free", str(self._keep_free_bytes)]
        command += [f"--bucket={bucket}" for bucket in self._buckets]
        return Process(
            "S3",
            command,
            log=self.folder / "s3.log",
            mark=self._mark,
            environment={"PATH": os.environ.get("PATH", os.defpath)},
        )
