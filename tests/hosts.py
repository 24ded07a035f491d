"""Hosts of one network as network namespaces of this machine, each with a folder as its disk.

    with Network(tmp_path) as network:
        worker = network.add("worker-1")
        with worker.inside():
            process.start()    # it and all that it starts runs on that host
        worker.cut_off()

They hang on a switch, which is a namespace too: this machine's own network is left as it is, and
nothing in there reaches it. It takes root and iproute2. Where they cannot be made, hosts are
folders on loopback, `Network.why_not` says why, and none can be cut off.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import debian_packages
import psutil
import pytest

from songswap.supervision.process import marked, wait_until

_CLONE_NEWNET = 0x40000000
_SWITCH = "lan"
_CARD = "eth0"


class NoNamespaces(Exception):
    """This machine makes no network namespaces; the text says why."""


class Namespace:
    """A network namespace, in which there is only loopback.

    Raises:
        NoNamespaces: the user, the kernel or the sandbox does not allow it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        if os.geteuid():
            raise NoNamespaces("only root can make network namespaces")
        try:
            ip("netns", "add", name)
        except (subprocess.CalledProcessError, pytest.skip.Exception) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise NoNamespaces(f"network namespaces cannot be made: {said.strip()}") from error
        self.configure("link", "set", "dev", "lo", "up")

    def configure(self, *words: str) -> None:
        """Do as ``ip`` does, in this namespace."""
        ip("-n", self.name, *words)

    def enter(self) -> None:
        """Move this thread there; the processes, threads and sockets that it makes stay there."""
        with Path(f"/run/netns/{self.name}").open() as namespace:
            _move_to(namespace.fileno())

    def remove(self) -> None:
        """Forget it; the kernel does once nobody is in there."""
        ip("netns", "del", self.name)


def ip(*words: str) -> None:
    """Run iproute2's ``ip``: this machine's own, or Debian's.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command, environment = ["ip"], None
    if not shutil.which("ip"):
        folder = debian_packages.unpacked("iproute2")
        command = debian_packages.command(folder, "bin/ip")
        environment = debian_packages.environment(folder)
    subprocess.run(  # noqa: S603  (iproute2)
        [*command, *words], env=environment, check=True, capture_output=True, text=True
    )


class Host:
    """One host; its processes carry the mark of its disk.

    Args:
        address: where the others reach it.
        disk: the folder of all its data.
        namespace: its network; None on loopback.
        switch: what it is plugged into; None on loopback.
    """

    def __init__(
        self,
        name: str,
        address: str,
        disk: Path,
        namespace: Namespace | None = None,
        switch: Namespace | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.disk = disk
        self._namespace = namespace
        self._switch = switch

    @property
    def listens_on(self) -> str:
        """The address for what all of its network may reach."""
        return "0.0.0.0" if self._namespace else self.address  # noqa: S104  (a network of its own)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread starts and connects to meanwhile is done on this host."""
        if self._namespace is None:
            yield
            return
        with Path("/proc/thread-self/ns/net").open() as before:
            self._namespace.enter()
            try:
                yield
            finally:
                _move_to(before.fileno())

    def cut_off(self) -> None:
        """Unplug it at the switch: packets are lost in silence, connections are not closed."""
        assert self._switch, "a host on loopback cannot be cut off"
        self._switch.configure("link", "set", "dev", self.name, "nomaster")

    def reconnect(self) -> None:
        """Plug it in again."""
        assert self._switch, "a host on loopback cannot be cut off"
        self._switch.configure("link", "set", "dev", self.name, "master", _SWITCH)

    def die(self) -> None:
        """Lose its power and its disk: no process of it says goodbye to anybody."""
        if self._switch:
            self.cut_off()
        assert wait_until(lambda: not self._kill(), 30)
        shutil.rmtree(self.disk)
        self._remove_network()

    def remove(self) -> None:
        """Remove what is left of it; its disk stays for whoever looks for a failure."""
        wait_until(lambda: not self._kill(), 30)
        self._remove_network()

    def _kill(self) -> list[int]:
        """Kill all its processes; give those that were left."""
        left = marked(self.disk)
        for pid in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(signal.SIGKILL)
        return left

    def _remove_network(self) -> None:
        namespace, self._namespace = self._namespace, None
        if namespace:
            namespace.remove()
            assert self._switch
            # The kernel removes a namespace's devices some time later, and the name is free then.
            with contextlib.suppress(subprocess.CalledProcessError):
                self._switch.configure("link", "del", "dev", self.name)


class Network:
    """A network of hosts, and all that is on them: nothing of it is left at the end.

    Args:
        folder: holds the hosts' disks.

    ``why_not`` is None, or why its hosts are no more than folders; names of namespaces begin with
    ``mark``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hosts: list[Host] = []
        self.mark = f"songswap-{os.getpid()}"
        self._switch: Namespace | None = None
        self.why_not: str | None = None

    def __enter__(self) -> Self:
        try:
            self._switch = Namespace(f"{self.mark}-{_SWITCH}")
        except NoNamespaces as error:
            self.why_not = str(error)
        else:
            self._switch.configure("link", "add", "name", _SWITCH, "type", "bridge")
            self._switch.configure("link", "set", "dev", _SWITCH, "up")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for host in self._hosts:
            host.remove()
        if self._switch:
            self._switch.remove()

    def add(self, name: str) -> Host:
        """Add a host with an empty disk, and an address of its own.

        Args:
            name: at most 15 characters, as the name of a network device.
        """
        disk = self._folder / name
        disk.mkdir(parents=True)
        if self._switch is None:
            self._hosts.append(Host(name, "127.0.0.1", disk))
            return self._hosts[-1]
        number = len(self._hosts) + 1
        namespace = Namespace(f"{self.mark}-{number}")
        host = Host(name, f"10.213.0.{number}", disk, namespace, self._switch)
        self._hosts.append(host)
        cable = ("type", "veth", "peer", "name", _CARD, "netns", namespace.name)
        self._switch.configure("link", "add", "name", name, *cable)
        self._switch.configure("link", "set", "dev", name, "up")
        namespace.configure("addr", "add", f"{host.address}/24", "dev", _CARD)
        namespace.configure("link", "set", "dev", _CARD, "up")
        host.reconnect()
        return host


def _move_to(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
