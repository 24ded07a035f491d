"""The base images: pulled, or made of Debian's packages where they cannot be pulled.

A stand-in has the users, paths, environment and entrypoint of the image that it stands in for:
`images/` has a folder for each.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import debian_packages
import pytest
from containers.engine import Docker

from songswap.supervision.errors import StackError

STAND_INS = {
    "postgres:17-bookworm": "postgres",
    "redis:7.2-bookworm": "redis",
    "apache/airflow:3.3.2-python3.11": "airflow",
}
_BASE = "songswap-test/debian"
_SUITES = {"airflow": "bookworm", "redis": "bookworm", "postgres": "trixie"}
_HERE = Path(__file__).parent / "images"
_CERTIFICATES = Path("usr/local/share/ca-certificates")
_APT = """
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
"""


def provide(docker: Docker, folder: Path, note: Callable[[str], None]) -> list[str]:
    """See to it that the engine has the base images; gives the names of the stand-ins.

    Args:
        folder: where systems are unpacked meanwhile.
        note: is told what takes time.

    Raises:
        StackError: an image cannot be had.
    """
    made = []
    for name, kind in STAND_INS.items():
        if not docker.has_image(name) and docker.run("pull", name, check=False).returncode:
            if not docker.own:
                raise StackError(
                    f"The engine cannot pull {name}. Stand-ins are for an engine of our own: unset"
                    " DOCKER_HOST, stop the engine, and run this as root."
                )
            note(f"{name} cannot be pulled: a stand-in is made of Debian's packages")
            _stand_in(docker, name, kind, folder, note)
        label = '{{index .Config.Labels "songswap.stand-in"}}'
        if docker.run("image", "inspect", "--format", label, name).stdout.strip():
            made.append(name)
    return made


def _stand_in(
    docker: Docker, name: str, kind: str, folder: Path, note: Callable[[str], None]
) -> None:
    suite = _SUITES[kind]
    base = f"{_BASE}:{suite}"
    if not docker.has_image(base):
        note(f"Debian's {suite} is unpacked, about a minute")
        _import(docker, base, suite, folder / suite)
    # `uv` is the one of this environment: it is one program without libraries.
    programs = Path(sys.prefix) / "bin"
    docker.run(
        *("build", "--tag", name, "--label", "songswap.stand-in=true"),
        *("--build-context", f"programs={programs}", str(_HERE / kind)),
    )


def _import(docker: Docker, name: str, suite: str, folder: Path) -> None:
    """Make an image of a minimal Debian that reaches what this machine reaches."""
    try:
        tools = debian_packages.unpacked("debootstrap", "debian-archive-keyring", suite="trixie")
    except pytest.skip.Exception as error:
        raise StackError(str(error)) from None
    shutil.rmtree(folder, ignore_errors=True)
    keyring = next(tools.glob("usr/share/keyrings/debian-archive-keyring.*"))
    _run(
        str(tools / "usr/sbin/debootstrap"),
        *("--variant=minbase", f"--keyring={keyring}", suite, str(folder), _mirror()),
        DEBOOTSTRAP_DIR=str(tools / "usr/share/debootstrap"),
    )
    _hand_on_settings(folder)
    packed = folder.with_suffix(".tar")
    _run("tar", "--create", "--file", str(packed), "--directory", str(folder), ".")
    docker.run("import", str(packed), name)
    packed.unlink()
    shutil.rmtree(folder)


def _hand_on_settings(folder: Path) -> None:
    """Have apt and uv in a system reach what they reach on this machine, and trust what it trusts.

    Certificates go where Debian's ca-certificates, once it is installed, takes them from.
    """
    apt = _run("apt-config", "dump", "Acquire")
    (folder / "etc/apt/apt.conf.d/00machine").write_text(apt + _APT)
    certificates = folder / _CERTIFICATES
    certificates.mkdir(parents=True, exist_ok=True)
    for certificate in sorted(Path("/", _CERTIFICATES).glob("*.crt")):
        shutil.copy(certificate, certificates)
    (folder / "etc/uv").mkdir()
    own = Path("/etc/uv/uv.toml")
    given = own.read_text() if own.exists() else ""
    (folder / "etc/uv/uv.toml").write_text(f"native-tls = true\n{given}")
    for path in (folder / "var/lib/apt/lists").glob("*_*"):
        path.unlink()


def _mirror() -> str:
    """Where this machine has Debian's packages from."""
    output = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    places = [line for line in output.split() if "security" not in line]
    if not places:
        raise StackError("apt says nowhere where this machine's packages come from.")
    return places[0]


def _run(*command: str, **environment: str) -> str:
    done = subprocess.run(  # noqa: S603  (our own words)
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise StackError(f"{command[0]} failed with {done.returncode}:\n{said}")
    return done.stdout
