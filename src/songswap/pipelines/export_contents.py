"""Read the files of an export one by one: rows, what is archived of them, and whose they are."""

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from songswap.errors import ExportRefused
from songswap.storage import keys
from songswap.storage.export_files import Source, Sources
from songswap.storage.records import RawExport, pack_export
from songswap.transform.exports import files
from songswap.transform.exports.kinds import OWN, WITHOUT_TRACKS
from songswap.transform.exports.rows import require_plausible
from songswap.transform.exports.streams import File
from songswap.transform.handover.manifest import owner_digest, plain_name

log = logging.getLogger(__name__)

MOST_ROWS_IN_ALL = 3_000_000
"""Music by day and night for twenty years has fewer."""

_WHOLE = (".json", ".jsonl", ".txt")
"""How histories end; sync programs and editors write files with other endings."""

Progress = Callable[[str, int, int], None]
"""Receives the step, how much of it is done, and how much there is."""


@dataclass(slots=True)
class Contents:
    """The files of an export, read.

    Attributes:
        keys: of each file, the key of its object in the archive.
        archivable: what may be archived of them, gzipped.
        left_out: names what may be a history and is not read, with the reason.
        owner_digests: whose it is, where it is our own export.
        earlier_plays: of the API, time and track, that earlier hand-overs had.
    """

    files: list[File] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    archivable: list[RawExport] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    owner_digests: Collection[str] = ()
    earlier_plays: Collection[tuple[datetime, str]] = ()

    def counts(self) -> Counter[str]:
        """Count rows, those that are no streams by their reason, and files left out."""
        counts = Counter(files_left_out=len(self.left_out)) if self.left_out else Counter[str]()
        for file in self.files:
            counts["rows"] += file.rows
            counts += file.left_out
            counts["rejected_items"] += len(file.rejected_items)
        return counts


def read_contents(user_id: int, found: Sources, now: datetime, progress: Progress) -> Contents:
    """Read all files of an export.

    Raises:
        ExportRefused: one of them is broken, or they have more rows than any history.
    """
    package = Contents(left_out=found.left_out, owner_digests=found.owner_digests)
    size, done, rows = sum(source.size for source in found.files), 0, 0
    for source in found.files:
        progress("read", done, size)
        done += source.size
        try:
            file = _read(source, now)
        except ExportRefused as error:
            if source.kind not in WITHOUT_TRACKS and source.name.lower().endswith(_WHOLE):
                raise
            log.debug("Left out: %s", error)
            package.left_out.append(f"{source.label} is broken: {_why_left_out(source)}")
            continue
        rows += file.rows + len(file.tracks)
        if rows > MOST_ROWS_IN_ALL:
            raise ExportRefused(
                f"The files have more than {MOST_ROWS_IN_ALL:,} rows, which is no user's history."
                " Nothing was imported: give the zip as Spotify sent it."
            )
        raw_key = None
        if file.archivable:
            raw_key = keys.for_export(user_id, file.kind.value, file.archivable)
            packed = pack_export(file.archivable)
            package.archivable.append(RawExport(user_id, raw_key, file.kind.value, now, packed))
            file.archivable = b""
        package.files.append(file)
        package.keys.append(raw_key)
    progress("read", done, size)
    return package


def _why_left_out(source: Source) -> str:
    if source.kind in WITHOUT_TRACKS:
        return "it would hold no music"
    return "by its name it is a file in use by a program"


def _read(source: Source, now: datetime) -> File:
    body, is_own = source.body(), source.kind in OWN
    require_plausible(source.label, body, is_lines=is_own)
    if is_own:
        body = _as_list(source, body)
    return files.read(source.label, source.kind, body, now)


def _as_list(source: Source, body: bytes) -> bytes:
    """Return JSON Lines as a JSON list.

    Raises:
        ExportRefused: they are not as many as the manifest says.
    """
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) != source.rows:
        raise ExportRefused(
            f"{source.label} has {len(lines):,} rows, and the manifest says {source.rows:,}: it was"
            " cut off or changed. Nothing was imported: export the data again."
        )
    return b"[" + b",".join(lines) + b"]"


def require_owner(package: Contents, user_id: int, spotify_id: str) -> None:
    """Require the user names in an export to be the user's.

    Raises:
        ExportRefused: they are not.
    """
    owners = {plain_name(owner) for file in package.files for owner in file.owners}
    digests = set(package.owner_digests)
    if owners - {plain_name(spotify_id)} or digests - {owner_digest(spotify_id)}:
        raise ExportRefused(
            f"This is the export of another user than {user_id}: the name at Spotify in it is not"
            " this user's. Nothing was imported. Some exports have a name where others"
            " have an id: if it is this user's all the same, import it alone, with"
            f" --user {user_id} --trust."
        )
