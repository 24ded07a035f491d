"""Which parts a demo starts, and the settings of its tasks: the user's own settings win.

Each real service that is set replaces its local part: Spotify's credentials the simulator, the
connection of the warehouse its embedded database, that of the archive the S3 endpoint.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from songswap import schedule, settings
from songswap.dev.simulator.discord import WEBHOOK_ID, WEBHOOK_TOKEN
from songswap.dev.stack.access import Access
from songswap.dev.stack.object_store import REGION
from songswap.dev.stack.ports import ARCHIVE, SPOTIFY, SPOTIFY_CONNECTION, Ports, number
from songswap.settings.airflow_connection import parse_connection
from songswap.settings.time_zones import time_zones
from songswap.supervision.errors import StartRefused

BUCKET = "songswap"
WAREHOUSE = "AIRFLOW_CONN_SONGSWAP_RDS"
PAGE = "AIRFLOW_CONN_SONGSWAP_RDS_READONLY"
ARCHIVE_READ = "AIRFLOW_CONN_SONGSWAP_S3_READONLY"
ARCHIVE_ERASE = "AIRFLOW_CONN_SONGSWAP_S3_ERASE"
ARCHIVE_TESTS = "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE"
DISCORD = "AIRFLOW_CONN_DISCORD_NOTIFIER"
_SERVICES = "AIRFLOW_CONN_SONGSWAP_ALERTS"
_BUCKET_NAME = "AIRFLOW_VAR_BUCKET_NAME"
_CREDENTIALS = (SPOTIFY, "SPOTIFY_CLIENT_SECRET")
WEBHOOK = f"webhooks/{WEBHOOK_ID}/{WEBHOOK_TOKEN}"
_SLOTS = "SONGSWAP_SPOTIFY_SLOTS"
_CONNECTIONS = {
    WAREHOUSE,
    PAGE,
    ARCHIVE,
    ARCHIVE_READ,
    ARCHIVE_ERASE,
    ARCHIVE_TESTS,
    DISCORD,
    _SERVICES,
    SPOTIFY_CONNECTION,
}

SIMULATED_APP = {
    "SPOTIFY_CLIENT_ID": "songswap",
    "SPOTIFY_CLIENT_SECRET": "simulated",
    "SPOTIFY_REDIRECT_URI": "http://127.0.0.1:8888/callback",
}


def simulated_spotify(url: str) -> settings.Spotify:
    """The settings of the simulated Spotify at an address."""
    return settings.Spotify(
        client_id=SIMULATED_APP["SPOTIFY_CLIENT_ID"],
        client_secret=SIMULATED_APP["SPOTIFY_CLIENT_SECRET"],
        api_url=f"{url}/v1",
        accounts_url=url,
        reccobeats_url=f"{url}/reccobeats",
    )


@dataclass(frozen=True)
class Plan:
    """The user's settings, parsed: which parts are started, on which ports."""

    settings: Mapping[str, str]
    ports: Ports
    spotify_slots: int

    @property
    def simulated(self) -> bool:
        """True when Spotify is the simulator."""
        return "simulator" in self.started_ports

    @property
    def local_warehouse(self) -> bool:
        """True when the warehouse is a database of the embedded PostgreSQL."""
        return WAREHOUSE not in self.settings

    @property
    def local_archive(self) -> bool:
        """True when the archive is the embedded S3 endpoint."""
        return "s3" in self.started_ports

    @property
    def started_ports(self) -> dict[str, int]:
        """The ports of the parts that are started."""
        return self.ports.started(self.settings)

    def environment(
        self,
        *,
        warehouse: str,
        archive: str,
        access: Access,
        simulator: str,
        spool: Path,
        page: str = "",
    ) -> dict[str, str]:
        """The environment of Airflow's tasks.

        Args:
            warehouse: the embedded warehouse's URI, and `page` that of a login which only reads.
            archive: the S3 endpoint's address, and `access` its keys.
            simulator: the simulator's address.
            spool: the folder of the spool.
        """
        local = {"SONGSWAP_SPOOL": str(spool)}
        if self.local_warehouse:
            local[WAREHOUSE] = warehouse
            local |= {PAGE: page} if page else {}
        if self.local_archive:
            local[_BUCKET_NAME] = BUCKET
            local[ARCHIVE] = _s3_connection(archive, "pipeline", access)
            local[ARCHIVE_READ] = _s3_connection(archive, "reader", access)
            local[ARCHIVE_ERASE] = _s3_connection(archive, "eraser", access)
            local[ARCHIVE_TESTS] = _s3_connection(archive, "tests", access)
        if self.simulated:
            local |= SIMULATED_APP
            local["SPOTIFY_API_URL"] = f"{simulator}/v1"
            local["SPOTIFY_ACCOUNTS_URL"] = simulator
            local["RECCOBEATS_URL"] = f"{simulator}/reccobeats"
            local[DISCORD] = json.dumps(
                {
                    "conn_type": "discord",
                    "host": f"{simulator}/discord/",
                    "extra": {"webhook_endpoint": WEBHOOK},
                }
            )
            local["AIRFLOW_VAR_DISCORD_WEBHOOK_ENDPOINT"] = WEBHOOK
        return {**local, **self.settings}


def make_plan(environment: Mapping[str, str]) -> Plan:
    """Parse the settings; an empty one counts as not set.

    Raises:
        SettingsError: a connection, the minute or a time zone cannot be parsed.
        StartRefused: another setting cannot be parsed, or lacks its counterpart.
    """
    settings = {name: value.strip() for name, value in environment.items() if value.strip()}
    for name in _CONNECTIONS & settings.keys():
        parse_connection(name, settings[name])
    schedule.minute_of(settings)
    time_zones(settings)
    present = [name for name in _CREDENTIALS if name in settings]
    if len(present) == 1 and SPOTIFY_CONNECTION not in settings:
        missing = next(name for name in _CREDENTIALS if name not in settings)
        raise StartRefused(
            f"{present[0]} is set and {missing} is not. Set both to use the real Spotify, "
            "or none to use the simulator."
        )
    if ARCHIVE in settings and _BUCKET_NAME not in settings:
        raise StartRefused(f"{ARCHIVE} is set, so {_BUCKET_NAME} has to name the bucket.")
    return Plan(settings, Ports.read(settings), number(settings, _SLOTS, 2))


def _s3_connection(endpoint: str, access_key: str, access: Access) -> str:
    return json.dumps(
        {
            "conn_type": "aws",
            "login": access_key,
            "password": access.secrets[access_key],
            "extra": {"endpoint_url": endpoint, "region_name": REGION},
        }
    )
