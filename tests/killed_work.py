"""Work on a warehouse in processes that SIGKILL ends: ``killed_work.py DSN NAME``.

Reads numbers, a line each. For each, a process does the work of that name and is killed before its
step of that number. Writes how it ended: 0 where the work had fewer steps, else minus the signal.
"""

import itertools
import os
import signal
import sys

from contradictions import HEARD, NEW, OLD, RENAMED, Z, song
from stepping import SteppedSession, open_session
from warehouse_work import enrich_artists, enrich_tracks, import_export, load

WORKS = {
    "load of an hour": load({1: NEW, 2: {50: song(1, Z)}}),
    "load of two hours": load({1: OLD}, {1: NEW, 2: HEARD}),
    "import": import_export(1, HEARD),
    "enrichment of tracks": enrich_tracks(*NEW.values()),
    "enrichment of artists": enrich_artists(*RENAMED),
}


def kill_before(number: int, session: SteppedSession) -> None:
    """Have this process killed before the session's step of this number."""
    steps = itertools.count(1)

    def step(_: str) -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    session.before_step = step


def main(dsn: str, name: str) -> None:
    """See the module."""
    for line in sys.stdin:
        if (process := os.fork()) == 0:
            session = open_session(dsn)
            kill_before(int(line), session)
            WORKS[name](session)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
