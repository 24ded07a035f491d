"""The TCP ports of the stack's parts: reads them from the settings, and checks that they are free.

    python -m songswap.dev.stack.ports

`make demo` runs it before it installs anything, so it imports the standard library alone.
"""

import os
import re
import shlex
import socket
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from songswap.supervision.errors import StartRefused

ARCHIVE = "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY"
SPOTIFY = "SPOTIFY_CLIENT_ID"
SPOTIFY_CONNECTION = "AIRFLOW_CONN_SONGSWAP_SPOTIFY"
_HOST = "127.0.0.1"
_HIGHEST = 65_535
_SETTING = re.compile(
    rf"""\s*(?:export\s+)?
    (SONGSWAP_[A-Z0-9]+_PORT|SONGSWAP_STATE|{ARCHIVE}|{SPOTIFY}|{SPOTIFY_CONNECTION})\s*=\s*
    (?:'(?P<single>[^']*)' | "(?P<double>[^"]*)" | (?P<plain>[^#\n]*?))\s*(?:\#.*)?""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Ports:
    """The TCP ports on 127.0.0.1, by part."""

    airflow: int = 8080
    postgres: int = 5439
    s3: int = 9010
    simulator: int = 8010

    @staticmethod
    def variable(part: str) -> str:
        """The setting that gives a part another port."""
        return f"SONGSWAP_{part.upper()}_PORT"

    @classmethod
    def read(cls, settings: Mapping[str, str]) -> "Ports":
        """Read the ports; those that are not set have their defaults.

        Raises:
            StartRefused: a setting is not a port.
        """
        defaults = asdict(cls()).items()
        return cls(**{part: number(settings, cls.variable(part), port) for part, port in defaults})

    def started(self, settings: Mapping[str, str]) -> dict[str, int]:
        """The ports of the parts that are started; a real service that is set replaces its part."""
        has_spotify = SPOTIFY in settings or SPOTIFY_CONNECTION in settings
        replaced = {"s3": ARCHIVE in settings, "simulator": has_spotify}
        return {part: port for part, port in asdict(self).items() if not replaced.get(part)}


def number(settings: Mapping[str, str], name: str, default: int) -> int:
    """Read a setting that is a whole number from 1 to 65535.

    Raises:
        StartRefused: it is something else.
    """
    text = settings.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= _HIGHEST:
        raise StartRefused(f"{name} has to be a whole number from 1 to 65535, not {text!r}.")
    return int(text)


def bind_error(host: str, port: int) -> str | None:
    """The system's reason why nothing can listen on a port; None when something can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def require_ports(ports: Mapping[str, int], command: str) -> None:
    """Make sure that all parts can listen.

    Args:
        ports: by part.
        command: the command line of the demo, which the error repeats with free ports.

    Raises:
        StartRefused: some cannot; names each of them, and the command line with free ports.
    """
    problems: dict[str, str] = {}
    taken: dict[int, str] = {}
    for part, port in ports.items():
        why = f"it is meant for {taken[port]}" if port in taken else bind_error(_HOST, port)
        if why is not None:
            problems[part] = f"{port:7} for {part}: {why}"
        taken.setdefault(port, part)
    if not problems:
        return
    free: dict[str, int] = {}
    for part in problems:
        free[part] = _free_port(ports[part], {*ports.values(), *free.values()})
    others = [f"{Ports.variable(part)}={port}" for part, port in free.items()]
    raise StartRefused(
        "\n".join([f"These ports of {_HOST} cannot be used:", *problems.values()])
        + "\nNothing was started. Stop what uses them, or use free ones with this line:\n\n"
        f"{' '.join(others)} {command}\n"
    )


def _free_port(after: int, taken: Collection[int]) -> int:
    """The next free port above 1023; lower ones need rights."""
    for port in chain(range(max(after, 1023) + 1, _HIGHEST + 1), range(1024, after)):
        if port not in taken and bind_error(_HOST, port) is None:
            return port
    raise StartRefused(f"No port of {_HOST} is free.")


def read_dotenv(text: str) -> dict[str, str]:
    """Parse the settings of an .env file that concern ports and the parts that are started.

    The demo itself reads the file with a package that may not be installed yet.
    """
    found = filter(None, map(_SETTING.fullmatch, text.splitlines()))
    return {match[1]: match["single"] or match["double"] or match["plain"] or "" for match in found}


def main(environment: Mapping[str, str], folder: Path) -> int:
    """Report the ports that `make demo` cannot use in this folder, with exit code 2."""
    file = folder / ".env"
    text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
    settings = {**read_dotenv(text), **environment}
    settings = {name: text.strip() for name, text in settings.items() if text.strip()}
    if (folder / settings.get("SONGSWAP_STATE", ".songswap") / "lock").exists():
        return 0  # an earlier demo may use them: the next one finds and stops it
    options = {name: settings[name] for name in ("PYTHON", "ARGS") if name in settings}
    words = ["make demo", *(f"{name}={shlex.quote(text)}" for name, text in options.items())]
    try:
        require_ports(Ports.read(settings).started(settings), " ".join(words))
    except StartRefused as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ, Path()))
