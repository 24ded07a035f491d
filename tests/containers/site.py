"""A folder as an operator has it: a clone of this repository, with a filled-in `.env`."""

import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

REPOSITORY = Path(__file__).parents[2]
ADMIN = "ada"
_NEWEST_SCHEMA = ("log", "-1", "--format=%H", "-G^VERSION = ")
_MIGRATE = "src/songswap/warehouse/migrate.py"


def clone(folder: Path) -> str:
    """Clone the repository, with what is not committed yet as a commit on top; gives the commit."""
    shutil.rmtree(folder, ignore_errors=True)
    _run("git", "clone", "--quiet", str(REPOSITORY), str(folder), cwd=REPOSITORY)
    for name in ("--modified", "--others", "--deleted"):
        listed = _run("git", "ls-files", "-z", name, "--exclude-standard", cwd=REPOSITORY)
        for path in filter(None, listed.split("\0")):
            there = folder / path
            if not (REPOSITORY / path).exists():
                there.unlink(missing_ok=True)
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / path, there)
    return commit(folder, "The work tree")


def commit(folder: Path, subject: str) -> str:
    """Commit all that has changed, if anything has; gives the newest commit."""
    author = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com")
    _run("git", "add", "--all", cwd=folder)
    _run("git", *author, "commit", "--quiet", "--allow-empty", "-m", subject, cwd=folder)
    return _run("git", "rev-parse", "HEAD", cwd=folder).strip()


def git(folder: Path, *arguments: str) -> str:
    """What a git command says."""
    return _run("git", *arguments, cwd=folder)


def commit_before(folder: Path) -> tuple[str, str]:
    """The last commit that needs an older schema, and that schema's version."""
    newest = git(folder, *_NEWEST_SCHEMA, "--", _MIGRATE).strip()
    assert newest, "the upgrade is tried from an older commit: git fetch --unshallow"
    text = git(folder, "show", f"{newest}^:{_MIGRATE}")
    version = re.search(r'^VERSION = "(\d+)"', text, re.MULTILINE)
    assert version, text
    return f"{newest}^", version[1]


def demo_settings(folder: Path, **more: str) -> dict[str, str]:
    """Fill in docker.env.example as it says: each secret by the command above it, and the services
    of its last section. Writes `.env`; gives what stands in it."""
    example = (folder / "docker.env.example").read_text()
    values = dict(re.findall(r"^#   ([A-Z]\w+)=(.+)$", example, re.MULTILINE))
    placeholder = re.compile(r"\b(LETTERS_AND_DIGITS|SECRET)\b")
    values = {
        name: placeholder.sub(secrets.token_hex(32), text.strip("'"))
        for name, text in values.items()
    }
    values |= {"SONGSWAP_ADMIN_USER": ADMIN, "SONGSWAP_ADMIN_EMAIL": f"{ADMIN}@example.com"}
    command = ""
    for line in example.splitlines():
        if found := re.search(r"\b(openssl rand .*)$", line):
            command = found[1]
        elif (found := re.fullmatch(r"(\w+)=", line)) and found[1] not in values:
            assert command, f"docker.env.example does not say how {found[1]} is made"
            values[found[1]] = _run("sh", "-c", command, cwd=folder).strip()
            command = ""
    values |= {"COMPOSE_PROFILES": "flower,demo"} | more
    write_settings(folder, values)
    return values


def write_settings(folder: Path, values: Mapping[str, str]) -> None:
    """Write `.env`."""
    file = folder / ".env"
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}='{text}'\n" for name, text in values.items()))


def blocks(folder: Path, heading: str) -> list[str]:
    """The blocks of commands between a heading of docs/deployment.md and the next one."""
    text = (folder / "docs/deployment.md").read_text()
    section = re.search(rf"^#+ {re.escape(heading)}$(.*?)^#+ ", text, re.MULTILINE | re.DOTALL)
    assert section, heading
    found = re.findall(r"^ *```sh\n(.*?)^ *```", section[1], re.MULTILINE | re.DOTALL)
    return [dedent(block) for block in found]


def commands(folder: Path, heading: str) -> list[str]:
    """The lines of the first block of commands below a heading of docs/deployment.md."""
    return [line.partition("  #")[0].strip() for line in blocks(folder, heading)[0].splitlines()]


def required(folder: Path) -> dict[str, str]:
    """The variables without which nothing starts, each with its sentence."""
    compose = (folder / "docker-compose.yaml").read_text()
    return dict(re.findall(r"\$\{(\w+):\?([^}]*)\}", compose))


def _run(*command: str, cwd: Path) -> str:
    return subprocess.run(  # noqa: S603  (git, and the commands of our own file)
        command, cwd=cwd, check=True, capture_output=True, text=True
    ).stdout
