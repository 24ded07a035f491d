"""The parts of a soak: PostgreSQL, S3 and the simulator, in a folder of its own."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from songswap import settings
from songswap.dev.simulator.token import GRANT_LIFETIME
from songswap.dev.stack.access import platform_access
from songswap.dev.stack.loopback import free_port
from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.dev.stack.plan import simulated_spotify
from songswap.dev.stack.postgres import Postgres
from songswap.dev.stack.sign_up import sign_up
from songswap.dev.stack.simulator import Simulator
from songswap.warehouse import grant_states, grants
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import migrate

_BUCKET = "soak"
_DATABASE = "soak"
_WRITES = "-c default_transaction_read_only=off"
_GRANT_LIFETIME = timedelta(milliseconds=GRANT_LIFETIME)
_AUTHORIZED_BEFORE = (timedelta(days=181.6), timedelta(days=180.2), timedelta(days=160))
"""How long before the soak some users authorized the app: Spotify's six months are 182 days."""

# A trigger records the delay of each play. It only appends, so concurrent loads do not wait for it.
_WATCH = """
CREATE SCHEMA soak;
CREATE TABLE soak.clock (now timestamptz NOT NULL);
CREATE TABLE soak.members (spotify_id text PRIMARY KEY, joined_at timestamptz NOT NULL);
CREATE TABLE soak.delays (minutes integer NOT NULL, plays bigint NOT NULL);
CREATE FUNCTION soak.note_delays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO soak.delays
  SELECT (extract(epoch FROM c.now - n.played_at AT TIME ZONE 'UTC') / 60)::integer, count(*)
  FROM arrived n
  JOIN public."Users" u ON u.id = n.user_id
  JOIN soak.members m ON m.spotify_id = u.spotify_id
  CROSS JOIN soak.clock c
  WHERE n.played_at AT TIME ZONE 'UTC' > m.joined_at
  GROUP BY 1;
  RETURN NULL;
END $$;
CREATE TRIGGER soak AFTER INSERT ON "History" REFERENCING NEW TABLE AS arrived
  FOR EACH STATEMENT EXECUTE FUNCTION soak.note_delays();
"""


@dataclass
class Parts:
    """The running parts, and the pipeline's settings for them.

    ``deleted`` and ``revoked`` hold Spotify's ids of users who left, or revoked their grant;
    ``old`` those who authorized the app half a year ago, and when that ends.
    """

    postgres: Postgres
    s3: ObjectStore
    spotify: Simulator
    settings: settings.Settings
    deleted: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    old: dict[str, datetime] = field(default_factory=dict)
    read_only: bool = False

    @property
    def writable(self) -> bool:
        """Whether the pipeline can write into the warehouse."""
        return self.postgres.running and not self.read_only

    def move_to(self, now: datetime) -> None:
        """Set the clock of Spotify to ``now``, and that of the trigger while PostgreSQL is up."""
        self.spotify.post("/admin/clock", {"set": now.isoformat()})
        if self.postgres.running:
            self.execute("DELETE FROM soak.clock")
            self.execute("INSERT INTO soak.clock VALUES (%s)", now)

    def sign_up(self, now: datetime, at_most: int | None = None) -> None:
        """Sign up the listeners who are neither signed up nor deleted, or the first of them."""
        listeners = [
            each for each in self.spotify.get("/admin/listeners") if each["id"] not in self.deleted
        ][:at_most]
        with self.connect() as connection:
            connection.cursor().executemany(
                "INSERT INTO soak.members VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [(each["id"], now) for each in listeners],
            )
        writing = make_conninfo(self.settings.warehouse_dsn, options=_WRITES)
        sign_up(writing, self.spotify.url, listeners, lambda _: None)

    def delete(self, user: str) -> None:
        """Delete a user, as the platform does."""
        self.execute('DELETE FROM "Users" WHERE spotify_id = %s', user)
        self.deleted.add(user)

    def authorize_again(self, users: Collection[str], now: datetime) -> None:
        """Let users authorize the app once more."""
        self.execute(
            'DELETE FROM "SpotifyTokens" t USING "Users" u'
            " WHERE u.id = t.id AND u.spotify_id = ANY (%s)",
            list(users),
        )
        self.sign_up(now)
        self.revoked.difference_update(users)
        for user in users:
            self.old.pop(user, None)

    def users(self) -> set[str]:
        """Spotify's ids of the users who are signed up."""
        with self.connect() as connection:
            return {user for (user,) in connection.execute('SELECT spotify_id FROM "Users"')}

    def ended(self, now: datetime) -> list[str]:
        """The users who have to authorize again after six months, as engineers see it."""
        with connect(self.settings.warehouse_dsn) as connection:
            grants = grant_states.find(connection, ("expired", "revoked"), now)
            ids = [grant.user_id for grant in grants if grant.ask_again_at is None]
            rows = connection.execute(
                'SELECT spotify_id FROM "Users" WHERE id = ANY (%s) ORDER BY 1', [ids]
            ).fetchall()
        expired = {user for user, until in self.old.items() if until <= now}
        return [user for (user,) in rows if user in expired - self.revoked]

    def execute(self, statement: str, *parameters: object) -> None:
        """Run a statement in the warehouse."""
        with self.connect() as connection:
            connection.execute(statement.encode(), parameters)

    def limit_day(self, per_day: int, now: datetime) -> None:
        """Limit the app's requests of a day, and let it have met that limit before."""
        self.spotify.post("/admin/quota", {"requests": per_day})
        self.execute("DELETE FROM songswap.requests")
        app = self.settings.spotify.client_id
        self.execute(
            "UPDATE songswap.budgets SET per_day = %s, day_learned_at = %s WHERE app = %s",
            per_day,
            now,
            app,
        )

    def connect(self) -> psycopg.Connection:
        """Open a session that can write, even if the warehouse is read-only for others."""
        return psycopg.connect(self.settings.warehouse_dsn, autocommit=True, options=_WRITES)

    def fail_over(self, read_only: bool) -> None:
        """Make the warehouse read-only, or writable again, for new sessions; end all others."""
        self.execute(
            f"ALTER DATABASE {_DATABASE} "
            + ("SET default_transaction_read_only = on" if read_only else "RESET ALL")
        )
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        self.read_only = read_only

    def undelivered(self) -> set[str]:
        """The users whose newest refresh token Spotify never delivered."""
        return set(self.spotify.get("/admin/undelivered")) - self.deleted

    def pids(self) -> dict[str, int]:
        """The process ids of the Python parts that run."""
        parts = {"S3": self.s3.process, "simulator": self.spotify.process}
        return {name: process.pid for name, process in parts.items() if process.running}


@contextmanager
def running(folder: Path, users: int, seed: int, begins: datetime) -> Iterator[Parts]:
    """Start the parts, with ``users`` listeners whose lives begin at ``begins``.

    Raises:
        StackError: a part did not start.
    """
    # A frozen clock would never leave the window of a rate limit, so only the storm sends 429s.
    simulated = (
        *("--users", str(users), "--seed", str(seed), "--rate-limit", "0", "--clock", "frozen"),
        *("--now", (begins - _AUTHORIZED_BEFORE[0]).isoformat(), "--epoch", begins.isoformat()),
    )
    with ExitStack() as stack:
        postgres = Postgres(folder / "postgres", free_port())
        stack.callback(postgres.stop)
        postgres.start()
        s3 = ObjectStore(folder / "s3", free_port(), platform_access(), buckets=(_BUCKET,))
        stack.callback(s3.stop)
        s3.start()
        spotify = Simulator(folder / "simulator", 0, simulated)
        stack.callback(spotify.stop)
        spotify.start()
        postgres.create_database(_DATABASE)
        migrate(postgres.dsn(_DATABASE))
        parts = Parts(postgres, s3, spotify, _settings(folder, postgres, s3, spotify, users))
        parts.execute(_WATCH)
        for number, before in enumerate(_AUTHORIZED_BEFORE, 1):
            parts.move_to(begins - before)
            parts.sign_up(begins, at_most=number * -(-users // 50))
            with connect(parts.settings.warehouse_dsn) as connection:
                grants.record_authorized(connection, begins - before)
            until = begins - before + _GRANT_LIFETIME
            parts.old |= dict.fromkeys(parts.users() - parts.old.keys(), until)
        parts.move_to(begins)
        parts.sign_up(begins)
        yield parts


def _settings(
    folder: Path, postgres: Postgres, s3: ObjectStore, spotify: Simulator, users: int
) -> settings.Settings:
    def bucket(key: str) -> settings.Archive:
        return settings.Archive(_BUCKET, s3.url, REGION, key, s3.access.secrets[key])

    return settings.Settings(
        warehouse_dsn=postgres.dsn(_DATABASE),
        # Waits between requests are very short. Timeouts are those of production, so that a busy
        # machine does not change the result of an hour.
        spotify=replace(
            simulated_spotify(spotify.url),
            first_wait_s=0.01,
            longest_wait_s=1.5,
            window_s=0.3,
        ),
        archive=bucket("pipeline"),
        library=bucket("reader"),
        spool=folder / "spool",
        batch_size=min(500, users // 2 + 1),
    )
