"""Load a batch's responses in a thread, a group at a time, while its users are polled.

    fetch ──▶ spool ──▶ group ──▶ load_responses ──▶ group ──▶ … ──▶ step 'load'

The thread has a session, and an opened spool, of its own. So memory holds one group of responses,
however many users a batch has.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import datetime
from queue import SimpleQueue
from typing import Self

import psycopg

from songswap.clock import utc_now
from songswap.durations import Durations
from songswap.errors import SongSwapError
from songswap.pipelines.load import load_responses
from songswap.settings import Settings
from songswap.storage.spool import Spool
from songswap.warehouse import runs
from songswap.warehouse.connection import connect
from songswap.warehouse.runs import StepKey

GROUP = 128
"""Responses that are loaded in one transaction."""


def load_step(batch: int) -> StepKey:
    """Return the step that counts what is loaded of a batch, and before it."""
    return StepKey("load", batch)


def load_batch(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Load what the spool has of a batch, and end its step 'load'.

    Raises: as `BatchLoader.end`.
    """
    with BatchLoader(settings, run_id, batch, clock) as loader:
        return loader.end()


class BatchLoader:
    """Loads the responses of a batch from the spool until `end`; use it as a context manager.

    When the block is left before `end`, the group in progress is loaded, and no other.

    Args:
        durations: of what was done before for the step, to be recorded with those of the load.
    """

    def __init__(
        self,
        settings: Settings,
        run_id: str,
        batch: int,
        clock: Callable[[], datetime],
        durations: Durations | None = None,
    ) -> None:
        self._settings = settings
        self._of = (run_id, batch)
        self._clock = clock
        self._durations = durations or Durations()
        self._spooled: SimpleQueue[int | None] = SimpleQueue()
        self._stopped = False
        self._counts: Counter[str] = Counter()
        self._thread = ThreadPoolExecutor(1, "load")
        self._loads = self._thread.submit(self._load_groups)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._spooled.put(None)
        self._thread.shutdown()

    def spooled(self, responses: int) -> None:
        """Say that so many responses have come into the spool; from any thread."""
        self._spooled.put(responses)

    def end(self) -> dict[str, int]:
        """Load the rest, and record that the step ended; its rows are counted already.

        Returns:
            Counts of new rows, see `songswap.pipelines.load.load_responses`.

        Raises:
            WarehouseError: what is not loaded stays in the spool; the next drain loads it.
            SpoolError: the disk failed.
        """
        self._spooled.put(None)
        try:
            refused = self._loads.result()
        except SongSwapError as error:
            # What kept the responses from being loaded is more than that it is not recorded.
            with suppress(SongSwapError):
                self._record(error)
            raise
        self._record(f"{refused} responses were refused and wait in the spool" if refused else None)
        return dict(self._counts)

    def _record(self, problem: str | SongSwapError | None) -> None:
        (run_id, batch), now = self._of, self._clock()
        with connect(self._settings.warehouse_dsn) as connection:
            counts = self._durations.in_ms()
            runs.end_step(connection, run_id, *load_step(batch), counts, now, problem)

    def _load_groups(self) -> int:
        """Load until the end; return how many responses of the batch were refused."""
        last = waiting = 0
        ended = False
        with (
            self._durations.measured(),
            Spool(self._settings.spool) as spool,
            ExitStack() as session,
        ):
            connection: psycopg.Connection | None = None
            while not self._stopped:
                while waiting < GROUP and not ended:
                    responses = self._spooled.get()
                    ended = responses is None
                    waiting += responses or 0
                group = [] if self._stopped else spool.batch(*self._of, last, GROUP)
                if not group and ended:
                    break
                waiting = max(0, waiting - len(group))
                if group:
                    connection = connection or session.enter_context(
                        connect(self._settings.warehouse_dsn)
                    )
                    (run_id, batch), now = self._of, self._clock()
                    loaded = load_responses(
                        self._settings, connection, spool, group, run_id, now, load_step(batch)
                    )
                    self._counts.update(loaded)
                    last = group[-1].id
            return spool.left_of(*self._of)
