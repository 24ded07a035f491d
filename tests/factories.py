"""What the shared fixtures make: a whole platform of real parts, and types for their factories."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import obstore
import psycopg
from obstore.store import S3Store

from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.plan import SIMULATED_APP, WEBHOOK
from songswap.dev.stack.sign_up import sign_up
from songswap.dev.stack.simulator import Simulator
from songswap.pipelines.hourly_load import load_once
from songswap.settings import Archive, Settings

NOW = "2026-11-22T18:00:00Z"


@dataclass
class Platform:
    """The parts, and what tests do with them most."""

    settings: Settings
    spotify: Simulator
    bucket: S3Store
    test_archive: Archive
    is_frozen: bool
    runs: int = 0
    _now: datetime | None = None

    def environment(self) -> dict[str, str]:
        """All of it as environment variables, as Airflow and the command line read them."""
        warehouse = psycopg.conninfo.conninfo_to_dict(self.settings.warehouse_dsn)
        return {
            "AIRFLOW_CONN_SONGSWAP_RDS": json.dumps(
                {
                    "conn_type": "postgres",
                    "host": warehouse["host"],
                    "port": int(str(warehouse["port"])),
                    "login": warehouse["user"],
                    "password": warehouse["password"],
                    "schema": warehouse["dbname"],
                }
            ),
            "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": _s3_connection(self.settings.archive),
            **self._optional(),
            "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE": _s3_connection(self.test_archive),
            "AIRFLOW_VAR_BUCKET_NAME": self.settings.archive.bucket,
            "AIRFLOW_CONN_DISCORD_NOTIFIER": json.dumps(
                {
                    "conn_type": "discord",
                    "host": f"{self.spotify.url}/discord/",
                    "extra": {"webhook_endpoint": WEBHOOK},
                }
            ),
            "SPOTIFY_CLIENT_ID": self.settings.spotify.client_id,
            "SPOTIFY_CLIENT_SECRET": self.settings.spotify.client_secret,
            "SPOTIFY_REDIRECT_URI": SIMULATED_APP["SPOTIFY_REDIRECT_URI"],
            "SPOTIFY_API_URL": self.settings.spotify.api_url,
            "SPOTIFY_ACCOUNTS_URL": self.settings.spotify.accounts_url,
            "RECCOBEATS_URL": self.settings.spotify.reccobeats_url,
            "SONGSWAP_SPOOL": str(self.settings.spool),
        }

    def _optional(self) -> dict[str, str]:
        keys = {"READONLY": self.settings.library, "ERASE": self.settings.eraser}
        return {
            f"AIRFLOW_CONN_SONGSWAP_S3_{name}": _s3_connection(archive)
            for name, archive in keys.items()
            if archive
        }

    def messages(self) -> list[dict[str, Any]]:
        """What Discord was sent."""
        data: list[dict[str, Any]] = self.spotify.get("/admin/discord")
        return data

    def clock(self) -> datetime:
        """The simulator's time, which is that of the pipeline too."""
        if self._now is None or not self.is_frozen:
            now = self.spotify.get("/admin/clock")["now"]
            self._now = datetime.fromisoformat(now).astimezone(UTC)
        return self._now

    def join(self, count: int) -> None:
        """Have more listeners sign up."""
        self.spotify.post("/admin/listeners", {"count": count})
        listeners = self.spotify.get("/admin/listeners")
        sign_up(self.settings.warehouse_dsn, self.spotify.url, listeners, lambda _: None)

    def use(self, store: ObjectStore) -> None:
        """Archive at another S3 endpoint, in its bucket ``own``."""
        own = replace(self.settings.archive, bucket="own", endpoint_url=store.url)
        secrets = store.access.secrets
        archive = replace(own, secret_access_key=secrets["pipeline"])
        library = replace(own, access_key_id="reader", secret_access_key=secrets["reader"])
        eraser = replace(own, access_key_id="eraser", secret_access_key=secrets["eraser"])
        self.settings = replace(self.settings, archive=archive, library=library, eraser=eraser)
        self.test_archive = replace(own, access_key_id="tests", secret_access_key=secrets["tests"])

    def advance(self, **units: float) -> None:
        """Move the time on, for example by ``minutes=60``."""
        seconds = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
        total = sum(seconds[unit] * number for unit, number in units.items())
        self.spotify.post("/admin/clock", {"advance_s": total})
        self._now = None

    def load(self) -> dict[str, int]:
        """One hourly load, as a run of its own."""
        self.runs += 1
        return load_once(self.settings, f"run {self.runs}", lambda *_: None, self.clock)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with psycopg.connect(self.settings.warehouse_dsn, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run a statement."""
        with psycopg.connect(self.settings.warehouse_dsn, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters)

    def history(self) -> Counter[tuple[str, str, str]]:
        """The plays that were loaded: Spotify's user, time, track."""
        return Counter(
            (user, f"{played_at:%Y-%m-%dT%H:%M:%S}.{played_at.microsecond // 1000:03d}Z", track)
            for user, played_at, track in self.rows(
                'SELECT u.spotify_id, h.played_at, h.track_id FROM "History" h'
                ' JOIN "Users" u ON u.id = h.user_id'
            )
        )

    def reachable(self) -> Counter[tuple[str, str, str]]:
        """The plays that Spotify could tell when it was asked, by its own ledger."""
        return Counter(
            (play["user"], play["played_at"], play["track_id"])
            for play in self.spotify.ledger()
            if play["reachable_when_polled"]
        )

    def objects(self) -> list[str]:
        """The keys in the bucket."""
        return sorted(one["path"] for part in obstore.list(self.bucket) for one in part)

    def calls(self) -> dict[str, int]:
        """Requests that Spotify got, by endpoint, whatever it answered."""
        data = self.spotify.get("/admin/calls")["by_endpoint"]
        return {endpoint: sum(statuses.values()) for endpoint, statuses in data.items()}

    def user_id(self, listener: str) -> int:
        """The platform's id of one of Spotify's users."""
        return int(self.rows('SELECT id FROM "Users" WHERE spotify_id = %s', listener)[0][0])

    def fault(self, **fault: Any) -> None:
        """Make Spotify misbehave."""
        self.spotify.post("/admin/faults", fault)

    def mend(self) -> None:
        """Take all faults back."""
        self.spotify.delete("/admin/faults")


class MakePlatform(Protocol):
    """The fixture `make_platform`."""

    def __call__(self, *options: str, users: int = 5, real_time: bool = False) -> Platform: ...


class StartSimulator(Protocol):
    """The fixture `simulator`."""

    def __call__(self, *options: str) -> Simulator: ...


class StartObjectStore(Protocol):
    """The fixture `limited_objects`."""

    def __call__(self, *methods: str) -> ObjectStore: ...


def _s3_connection(archive: Archive) -> str:
    return json.dumps(
        {
            "conn_type": "aws",
            "login": archive.access_key_id,
            "password": archive.secret_access_key,
            "extra": {"endpoint_url": archive.endpoint_url, "region_name": archive.region},
        }
    )
