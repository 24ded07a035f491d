"""What the deployment takes: times, memory by service, image sizes; and what processes show."""

import json
import re
import threading
from pathlib import Path

from containers.deployment import Deployment

_EVERY_S = 4
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 1e3, "MB": 1e6, "GB": 1e9}


def parse_bytes(text: str) -> float:
    """Bytes of a size as docker writes it: `172.5MiB`, `1.04GB`.

    >>> parse_bytes("512MiB")
    536870912.0
    """
    found = re.fullmatch(r"([\d.]+)\s*([A-Za-z]+)", text.strip())
    assert found, text
    return float(found[1]) * _UNITS[found[2]]


class Watch:
    """Looks at memory and at the list of processes every few seconds, until it is stopped.

    Attributes:
        peaks: the most memory that a container of a service was seen to use, in bytes, by service.
        limits: its limit.
        arguments: all command lines that the machine's list of processes has shown.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.peaks: dict[str, float] = {}
        self.limits: dict[str, float] = {}
        self.arguments: set[str] = set()
        self.failure: Exception | None = None
        self._deployment = deployment
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(self._memory, _EVERY_S)),
            threading.Thread(target=self._repeat, args=(self._processes, 0.2)),
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, look: object, every_s: float) -> None:
        assert callable(look)
        while not self._ended.wait(every_s):
            try:
                look()
            except Exception as error:  # noqa: BLE001  (told by the test that reads the figures)
                self.failure = error

    def _memory(self) -> None:
        done = self._deployment.docker.run(
            "stats", "--no-stream", "--format", "json", timeout_s=60, check=False
        )
        for line in done.stdout.splitlines():
            data = json.loads(line)
            service = re.sub(r"^[a-z]+-|-run-\w+$|-\d+$", "", data["Name"])
            used, _, limit = data["MemUsage"].partition("/")
            if limit.strip() in ("", "0B", "--"):  # it ended while it was looked at
                continue
            self.peaks[service] = max(parse_bytes(used), self.peaks.get(service, 0))
            self.limits[service] = parse_bytes(limit)

    def _processes(self) -> None:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.arguments.add(file.read_bytes().decode(errors="replace"))
            except OSError:
                continue  # it has ended meanwhile


def image_sizes(deployment: Deployment) -> dict[str, float]:
    """The images of the deployment and their base images, in bytes."""
    lines = deployment.docker.run("images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}")
    pairs = (line.split() for line in lines.stdout.splitlines())
    return {
        name: parse_bytes(size)
        for name, size in pairs
        if not name.startswith(("songswap-test/", "<none>"))
    }


def report(deployment: Deployment, watch: Watch) -> str:
    """The figures as Markdown."""
    what = f"stand-ins: {', '.join(deployment.stand_ins)}" if deployment.stand_ins else "pulled"
    lines = [f"Base images: {what}.", "", "| step | s |", "|---|---|"]
    lines += [f"| {step} | {seconds:.0f} |" for step, seconds in deployment.seconds.items()]
    lines += ["", "| service | peak, MiB | limit, MiB |", "|---|---|---|"]
    lines += [
        f"| `{service}` | {peak / 2**20:.0f} | {watch.limits[service] / 2**20:.0f} |"
        for service, peak in sorted(watch.peaks.items())
    ]
    lines += ["", "| image | GB |", "|---|---|"]
    lines += [f"| `{name}` | {size / 1e9:.2f} |" for name, size in image_sizes(deployment).items()]
    return "\n".join(lines) + "\n"
