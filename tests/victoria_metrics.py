"""A real receiver of OpenTelemetry's metrics that speaks PromQL: VictoriaMetrics, of Debian 13.

Debian builds Prometheus without its receiver, and has no OpenTelemetry Collector.
"""

import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import debian_packages

from songswap.dev.stack.loopback import URLError, call, call_json
from songswap.supervision.process import Process

Labels = frozenset[tuple[str, str]]


def _folder() -> Path:
    return debian_packages.unpacked("victoria-metrics", suite="trixie")


class VictoriaMetrics:
    """A server on 127.0.0.1, which keeps what it has when it is stopped.

    Args:
        folder: its data and its log.
        port: its TCP port.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.otlp_endpoint = f"{self.url}/opentelemetry"
        unpacked = _folder()
        self._process = Process(
            "VictoriaMetrics",
            [
                *debian_packages.command(unpacked, "usr/bin/victoria-metrics"),
                f"-storageDataPath={folder / 'data'}",
                f"-httpListenAddr=127.0.0.1:{port}",
                "-opentelemetry.usePrometheusNaming",
                # What came in a moment ago is read too.
                "-search.latencyOffset=0s",
            ],
            log=folder / "victoria-metrics.log",
            mark=folder,
            environment={**os.environ, **debian_packages.environment(unpacked)},
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process.start()
        self._process.wait_ready(self._is_ready, 30)

    def stop(self) -> None:
        """Stop it; metrics that are sent meanwhile are lost."""
        self._process.stop()

    def query(self, expression: str) -> dict[Labels, float]:
        """Return the values of a PromQL expression at this moment, by the labels."""
        call("GET", f"{self.url}/internal/force_flush")
        query = urlencode({"query": expression, "nocache": "1"})
        found: Any = call_json("GET", f"{self.url}/api/v1/query?{query}")
        assert found["status"] == "success", found
        return {
            frozenset(result["metric"].items()): float(result["value"][1])
            for result in found["data"]["result"]
        }

    def value(self, expression: str) -> float:
        """Return the value of an expression that has exactly one."""
        [value] = self.query(expression).values()
        return value

    def _is_ready(self) -> bool:
        try:
            return call("GET", f"{self.url}/health") == b"OK"
        except (URLError, ConnectionError):
            return False


def unit_test(file: Path) -> subprocess.CompletedProcess[str]:
    """Run a file of unit tests of alerts and queries, almost in the format of promtool."""
    unpacked = _folder()
    return subprocess.run(  # noqa: S603  (a program of Debian's)
        [
            *debian_packages.command(unpacked, "usr/bin/vmalert-tool"),
            "unittest",
            f"--files={file}",
        ],
        env={**os.environ, **debian_packages.environment(unpacked)},
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
