"""A Docker engine for the tests: one that runs already, or one of our own from Debian's packages.

Ours has a bridge, an address pool, a folder and a socket of its own, and stands beside any other.
Debian 12's engine is too old for the compose file, so it is Debian 13's, which runs on the
libraries of 12; `runc` and `iptables` are the machine's own suite's.
"""

import ipaddress
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import debian_packages
import pytest

from songswap.supervision.errors import StackError
from songswap.supervision.process import Process, stop_all, wait_until

OLDEST = 25
"""The engine that knows `start_interval`."""
_PROGRAMS = ("docker.io", "docker-cli", "containerd", "docker-compose", "docker-buildx", "tini")
_BRIDGE = "songswap-test0"
_CGROUP = "songswap-test"
_KEPT = "2gb"
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# Where an address pool may lie: 8 networks of 254 addresses and the bridge's.
_POOLS = [f"{start}.0/20" for start in ("172.31.224", "172.30.224", "10.213.224", "192.168.224")]


class Docker:
    """The command `docker` with an engine, with Compose 2 and Buildx.

    Args:
        environment: what it runs with.
        own: the engine is ours: it may be filled with what we like.
    """

    def __init__(self, environment: Mapping[str, str], *, own: bool) -> None:
        self.environment = environment
        self.own = own

    def run(
        self,
        *arguments: str,
        cwd: Path | None = None,
        data: bytes | None = None,
        timeout_s: float = 1200,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of docker's with this standard input.

        Raises:
            StackError: it failed; the text ends with what it said.
        """
        done = subprocess.run(  # noqa: S603  (our own arguments)
            ["docker", *arguments],  # noqa: S607
            cwd=cwd,
            env=dict(self.environment),
            input=data if data is not None else b"",
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        if check and done.returncode:
            words, said = " ".join(arguments), (out + err)[-4000:]
            raise StackError(f"docker {words} failed with {done.returncode}:\n{said}")
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def has_image(self, name: str) -> bool:
        """True when the engine has an image of this name."""
        return self.run("image", "inspect", name, check=False).returncode == 0


def running() -> Docker | None:
    """The engine that DOCKER_HOST names or that listens at docker's own socket, if it will do."""
    if not shutil.which("docker"):
        return None
    docker = Docker(os.environ, own=False)
    output = docker.run("version", "--format", "{{.Server.Version}}", check=False)
    compose = docker.run("compose", "version", check=False)
    version = output.stdout.strip().partition(".")[0]
    if output.returncode or compose.returncode or not version.isdigit() or int(version) < OLDEST:
        return None
    return docker


class OwnEngine:
    """An engine of our own, as root; its images and build cache stay in a folder.

    Args:
        folder: holds all that it keeps.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine: Process | None = None
        self._firewall = ""
        self._forwarding = ""
        self._environment: dict[str, str] = {}

    def start(self) -> Docker:
        """Start it.

        Raises:
            StackError: this machine cannot run one; the text says what is missing.
        """
        if os.geteuid() != 0:
            raise StackError("An engine of our own needs root. Or start Docker Engine 25 or later.")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._environment = self._unpack()
        self._stop_leftover()
        self._firewall = self._do("iptables-save")
        self._forwarding = _FORWARD.read_text()
        pool = _free_pool()
        self._make_bridge(pool)
        self._weigh_more()
        self._engine = Process(
            "dockerd",
            self._command(pool),
            log=self._folder / "dockerd.log",
            mark=self._folder,
            environment=self._environment,
        )
        self._engine.start()
        docker = Docker(self._environment, own=True)
        self._engine.wait_ready(lambda: docker.run("info", check=False).returncode == 0, 90)
        return docker

    def stop(self) -> None:
        """Stop it, and take back what it changed on this machine."""
        if self._engine is not None:
            # What no name points to any more; of the build cache, what was used last.
            docker = Docker(self._environment, own=True)
            docker.run("image", "prune", "--force", check=False)
            docker.run("builder", "prune", "--force", "--keep-storage", _KEPT, check=False)
            stop_all([self._engine], timeout_s=60)
        self._clean_up()
        if self._firewall:
            self._do("iptables-restore", data=self._firewall)
            _FORWARD.write_text(self._forwarding)

    def _unpack(self) -> dict[str, str]:
        try:
            engine = debian_packages.unpacked(*_PROGRAMS, suite="trixie")
            machine = debian_packages.unpacked("iptables", "runc")
        except pytest.skip.Exception as error:
            raise StackError(str(error)) from None
        programs = self._folder / "bin"
        programs.mkdir(exist_ok=True)
        tables = machine / "usr/sbin/xtables-nft-multi"
        links = {
            "docker-init": engine / "usr/bin/tini-static",
            "runc": machine / "usr/sbin/runc",
            **{f"ip{v}tables{do}": tables for v in ("", "6") for do in ("", "-save", "-restore")},
        }
        for name, target in links.items():
            (programs / name).unlink(missing_ok=True)
            (programs / name).symlink_to(target)
        plugins = engine / "usr/libexec/docker/cli-plugins"
        (self._folder / "config.json").write_text(
            json.dumps({"cliPluginsExtraDirs": [str(plugins)]})
        )
        found = (programs, engine / "usr/sbin", engine / "usr/bin")
        return {
            **debian_packages.environment(machine),
            "PATH": ":".join([*map(str, found), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self._folder),
            "XTABLES_LIBDIR": str(next(machine.glob("usr/lib/*/xtables"))),
            "DOCKER_CONFIG": str(self._folder),
            "DOCKER_HOST": f"unix://{self._folder}/docker.sock",
        }

    def _command(self, pool: ipaddress.IPv4Network) -> list[str]:
        return [
            "dockerd",
            *("--data-root", str(self._folder / "data")),
            *("--exec-root", str(self._run_folder)),
            *("--pidfile", str(self._folder / "dockerd.pid")),
            *("--host", f"unix://{self._folder}/docker.sock"),
            *("--bridge", _BRIDGE),
            *("--default-address-pool", f"base={pool},size=24"),
            *("--cgroup-parent", f"/{_CGROUP}"),
        ]

    @property
    def _run_folder(self) -> Path:
        # Sockets below it: a path may have 107 characters.
        return Path("/run/songswap-test")

    def _stop_leftover(self) -> None:
        """Stop the engine of a run that was killed."""
        file = self._folder / "dockerd.pid"
        try:
            pid = int(file.read_text())
            ours = str(self._folder) in Path(f"/proc/{pid}/cmdline").read_text()
        except (OSError, ValueError):
            ours = False
        if ours:
            os.kill(pid, 15)
            if not wait_until(lambda: not Path(f"/proc/{pid}").exists(), 60, 0.5):
                raise StackError(f"The engine of an earlier run, process {pid}, does not stop.")
        self._clean_up()

    def _make_bridge(self, pool: ipaddress.IPv4Network) -> None:
        own = list(pool.subnets(new_prefix=24))[-1]
        self._do("ip", "link", "add", _BRIDGE, "type", "bridge")
        self._do("ip", "addr", "add", f"{own[1]}/24", "dev", _BRIDGE)
        self._do("ip", "link", "set", _BRIDGE, "up")

    def _weigh_more(self) -> None:
        """On cgroup v1 all containers together weigh as much as one process beside them."""
        group = Path("/sys/fs/cgroup/cpu") / _CGROUP
        if group.parent.is_dir():
            group.mkdir(exist_ok=True)
            (group / "cpu.shares").write_text("10240")

    def _clean_up(self) -> None:
        self._do("ip", "link", "del", _BRIDGE, check=False)
        self._do("umount", str(self._folder / "data"), check=False)
        shutil.rmtree(self._run_folder, ignore_errors=True)
        for controller in Path("/sys/fs/cgroup").iterdir():
            groups = controller / _CGROUP
            if groups.is_dir():
                for group in sorted(groups.rglob("*"), reverse=True):
                    if group.is_dir():
                        group.rmdir()
                groups.rmdir()

    def _do(self, *command: str, data: str = "", check: bool = True) -> str:
        done = subprocess.run(  # noqa: S603  (our own words)
            command,
            env=self._environment,
            input=data,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise StackError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        return done.stdout


def _free_pool() -> ipaddress.IPv4Network:
    """A range of private addresses that no route of this machine touches.

    Raises:
        StackError: all that are tried are in use.
    """
    output = subprocess.run(
        ["ip", "-json", "-4", "route"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    places = [route["dst"] for route in json.loads(output.stdout) if route["dst"] != "default"]
    used = [ipaddress.ip_network(place) for place in places]
    for text in _POOLS:
        pool = ipaddress.IPv4Network(text)
        if not any(pool.overlaps(network) for network in used):
            return pool
    raise StackError(f"All of {', '.join(_POOLS)} are in use on this machine.")
