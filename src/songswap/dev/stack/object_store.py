"""The S3 endpoint of `songswap.dev.stack.objects` as a supervised child process."""

import sys
from pathlib import Path

from songswap.dev.stack.access import Access
from songswap.supervision.private import write_private
from songswap.supervision.process import Process

REGION = "us-east-1"


class ObjectStore:
    """An S3 endpoint on 127.0.0.1 that stores its objects below one folder.

    Args:
        folder: holds the objects, the access file (0600) and the log; created when missing.
        port: the TCP port; 0 takes a free one, which a restart takes again.
        access: the keys and their rights.
        buckets: created when missing.
        keep_free_bytes: puts are refused when the disk would have less left.
        mark: the folder of the stack it belongs to; `folder` by default.
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
        """The folder of the objects, each at `<bucket>/<key>`."""
        return self.folder / "objects"

    @property
    def url(self) -> str:
        """The endpoint's address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout_s: float = 30) -> None:
        """Start the endpoint and wait until it listens.

        Raises:
            StackError: it did not start; the text begins with the last lines of its log.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.access_file, self.access.to_json())
        self.process = self._new_process()  # on the port that the first start took
        self.process.start()
        self.process.wait_ready(lambda: "S3 listens on" in self.process.output(), timeout_s)
        self.port = int(self.process.output().splitlines()[0].rpartition(":")[2])

    def stop(self, timeout_s: float = 5) -> None:
        """Stop the endpoint."""
        self.process.stop(timeout_s)

    @property
    def access_file(self) -> Path:
        """The keys and their rights, as `songswap.dev.stack.access` writes them."""
        return self.folder / "access.json"

    def _new_process(self) -> Process:
        command = [sys.executable, "-m", "songswap.dev.stack.objects"]
        command += ["--folder", str(self.objects), "--access", str(self.access_file)]
        command += ["--port", str(self.port), "--keep-free", str(self._keep_free_bytes)]
        command += [f"--bucket={bucket}" for bucket in self._buckets]
        return Process("S3", command, log=self.folder / "s3.log", mark=self._mark)
