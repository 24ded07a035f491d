"""A platform whose users are polled from prepared responses, measured in a process of its own."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks import canned, services
from songswap.dev.stack.plan import simulated_spotify
from songswap.settings import Settings

T = TypeVar("T")


class Platform(NamedTuple):
    """Settings of the first hour, with all users in one batch; ``postmaster`` is a process id."""

    settings: Settings
    url: str
    postmaster: int

    def at(self, hour: int) -> Settings:
        """Return the settings of an hour."""
        spotify = simulated_spotify(canned.hour_of(self.url, hour))
        return replace(self.settings, spotify=spotify)


def measured(
    folder: Path, users: int, make: Callable[[], canned.Bodies], measure: Callable[[Platform], T]
) -> T:
    """Return what a measure finds on a platform with so many users and these responses."""
    certificate = canned.certify(folder)
    with (
        services.postgres(folder) as server,
        services.object_store(folder) as store,
        services.warehouse(server) as dsn,
        canned.serving(certificate, make) as url,
    ):
        canned.sign_up(dsn, users)
        settings = Settings(
            dsn,
            simulated_spotify(canned.hour_of(url, 0)),
            services.archive_of(store),
            folder / "spool",
            batch_size=users,
        )
        # The new process reads it when it imports ssl.
        os.environ["SSL_CERT_FILE"] = str(certificate)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(measure, (Platform(settings, url, server.process.pid),))
