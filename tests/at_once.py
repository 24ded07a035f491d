"""Work on a warehouse in threads at once, each with sessions of the pipeline."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
from stepping import SteppedSession, Work


class Crowd:
    """Sessions that work at once; ``errors`` counts those of the server, also retried ones."""

    def __init__(self, dsn: str, number: int) -> None:
        self.errors: Counter[str] = Counter()
        self._sessions = [SteppedSession.connect(dsn, autocommit=True) for _ in range(number)]
        for session in self._sessions:
            session.on_error = lambda code: self.errors.update([code])

    def close(self) -> None:
        """Close the sessions."""
        for session in self._sessions:
            session.close()

    def work(self, works: Sequence[Sequence[Work]]) -> None:
        """Have each session do its works one after the other, all sessions at once.

        Raises:
            Exception: the first that a work raised, when all have ended.
        """
        begin = threading.Barrier(len(works))

        def each(session: psycopg.Connection, own: Sequence[Work]) -> None:
            begin.wait()
            for work in own:
                work(session)

        with ThreadPoolExecutor(len(works)) as threads:
            done = [
                threads.submit(each, session, own)
                for session, own in zip(self._sessions, works, strict=False)
            ]
        for one in done:
            one.result()


def deadlocks(connection: psycopg.Connection) -> int:
    """How many deadlocks the server has ended in this database."""
    connection.execute("SELECT pg_stat_clear_snapshot()")
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    row = connection.execute(query).fetchone()
    assert row
    return int(row[0])
