"""Work on a warehouse in processes that SIGKILL ends: ``killed_work.py DSN NAME``.

See `killed_processes`; the steps are those of the session.
"""

import sys

from contradictions import HEARD, NEW, OLD, RENAMED, Z, song
from killed_processes import dying_before, serve
from stepping import open_session
from warehouse_work import enrich_artists, enrich_tracks, import_export, load

WORKS = {
    "load of an hour": load({1: NEW, 2: {50: song(1, Z)}}),
    "load of two hours": load({1: OLD}, {1: NEW, 2: HEARD}),
    "import": import_export(1, HEARD),
    "enrichment of tracks": enrich_tracks(*NEW.values()),
    "enrichment of artists": enrich_artists(*RENAMED),
}


def main(dsn: str, name: str) -> None:
    """See the module."""

    def work(number: int) -> None:
        session = open_session(dsn)
        session.before_step = dying_before(number)
        WORKS[name](session)

    serve(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
