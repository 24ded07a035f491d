"""The spool's id, and who else has it: a machine made from an image of another's disk.

    report under the id ──▶ the warehouse's last one is not of this spool ──▶ noted
                                                     └──▶ again and again ──▶ another id

Each of the two would take the place of the other: what waits on one that is silent, or which users
it has not erased, nobody would know.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from songswap.storage import spool_rows, spool_tables
from songswap.storage.spool_file import SpoolFile
from songswap.storage.spool_transactions import reads, writes

_UNNOTED = timedelta(minutes=2)
"""So long after a report the process that made it may not have noted yet that it is its own."""

_REMEMBERED = timedelta(hours=2)

_TIMES = 3
"""How many reports of others there may be before: a process that is killed leaves one, and so does
a disk, or a warehouse, that goes back in time."""

_FOREIGN = "SELECT count(*) FROM reports WHERE own = 0 AND at_ms <= ?"


class SpoolIdentity:
    """The part of `songswap.storage.spool.Spool` that knows its id."""

    file: SpoolFile

    @property
    @reads
    def id(self) -> UUID:
        """The spool's id: made with it, and kept where a broken file is replaced."""
        return spool_tables.spool_id(self.file.db)

    @writes
    def note_report(self, seen_at: datetime, now: datetime) -> None:
        """Record that the report which the warehouse got at this time is this spool's own."""
        row = (seen_at.isoformat(), spool_rows.to_ms(now))
        self.file.db.execute("INSERT OR REPLACE INTO reports VALUES (?, ?, 1)", row)
        span = (spool_rows.to_ms(now - _REMEMBERED), spool_rows.to_ms(now + _REMEMBERED))
        self.file.db.execute("DELETE FROM reports WHERE at_ms <= ? OR at_ms > ?", span)

    @writes
    def renew_shared_id(self, seen_at: datetime, now: datetime) -> bool:
        """Take another id where a copy of this spool reports under this one; returns whether.

        Args:
            seen_at: when the warehouse got the last report under this id.
        """
        row = (seen_at.isoformat(), spool_rows.to_ms(now))
        self.file.db.execute("INSERT OR IGNORE INTO reports VALUES (?, ?, 0)", row)
        (own,) = self.file.db.execute("SELECT own FROM reports WHERE seen = ?", row[:1]).fetchone()
        before = (spool_rows.to_ms(now - _UNNOTED),)
        (others,) = self.file.db.execute(_FOREIGN, before).fetchone()
        # The last one has to be another's too: two that part both would leave a spool of nobody.
        if own or others < _TIMES:
            return False
        spool_tables.set_id(self.file.db, uuid4().bytes)
        self.file.db.execute("DELETE FROM reports")
        return True
