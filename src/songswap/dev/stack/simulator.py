"""The Spotify simulator as a supervised child process, and its admin endpoints."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from songswap.dev.stack.loopback import call, call_json
from songswap.supervision.process import Process


class Simulator:
    """A simulated Spotify on 127.0.0.1.

    Args:
        folder: holds the log; created when missing.
        port: the TCP port; 0 takes a free one.
        options: more options of `python -m songswap.dev.simulator`.
        mark: the folder of the stack it belongs to; `folder` by default.
    """

    def __init__(
        self, folder: Path, port: int, options: tuple[str, ...] = (), mark: Path | None = None
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "songswap.dev.simulator", "--port", str(port), *options]
        self.process = Process(
            "The Spotify simulator",
            command,
            log=folder / "simulator.log",
            mark=mark or folder.absolute(),
        )

    def start(self, timeout_s: float = 30) -> None:
        """Start the simulator and wait until it listens.

        Raises:
            StackError: it did not start; the text begins with the last lines of its log.
        """
        self.process.start()
        self.process.wait_ready(lambda: "http://127.0.0.1:" in self.process.output(), timeout_s)
        output = self.process.output()
        self.url = output[output.index("http://127.0.0.1:") :].split()[0].rstrip("/")

    def stop(self, timeout_s: float = 5) -> None:
        """Stop the simulator."""
        self.process.stop(timeout_s)

    def get(self, path: str) -> Any:
        """Get JSON, for example from `/admin/listeners`."""
        return call_json("GET", self.url + path)

    def post(self, path: str, body: object) -> Any:
        """Post JSON; return the JSON of the response, None when it is empty."""
        return call_json("POST", self.url + path, body)

    def delete(self, path: str) -> None:
        """Send a DELETE."""
        call("DELETE", self.url + path)

    def ledger(self, user: str | None = None) -> Iterator[dict[str, Any]]:
        """Every play so far, of all listeners or of one."""
        body = call("GET", f"{self.url}/admin/ledger" + (f"?user={user}" if user else ""))
        return (json.loads(line) for line in body.splitlines())
