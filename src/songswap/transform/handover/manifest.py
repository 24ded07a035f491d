"""The manifest of a hand-over: by it an import recognizes the zip, and sees that it is whole."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from songswap import __version__
from songswap.errors import ExportRefused
from songswap.transform.handover.lines import iso

NAME = "manifest.json"
FORMAT = "songswap-export"
VERSION = 1

MOST_BYTES = 2**20
"""A manifest names some hundreds of files."""


class _FileEntry(msgspec.Struct):
    rows: int


class _Entry(msgspec.Struct):
    format: str
    version: int
    owner: str = ""
    files: dict[str, _FileEntry] = {}


class Manifest(NamedTuple):
    """A manifest: the digest of its owner, and the rows of each file by its path in the zip."""

    version: int
    owner: str
    rows: Mapping[str, int]


def build(spotify_id: str, rows: Mapping[str, int], created_at: datetime) -> dict[str, Any]:
    """Return a manifest as an object of JSON.

    Args:
        spotify_id: of the user whose data it is.
        rows: of each file, by its path in the zip.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "created_at": iso(created_at),
        "created_by": f"SongSwap Airflow {__version__}",
        "owner": owner_digest(spotify_id),
        "files": {name: {"rows": number} for name, number in rows.items()},
    }


def parse(label: str, content: bytes) -> Manifest | None:
    """Return a manifest; None where the content is another program's.

    Raises:
        ExportRefused: it is ours, and damaged; ``label`` is its name in the message.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    try:
        found = msgspec.convert(document, _Entry)
    except msgspec.ValidationError as error:
        raise ExportRefused(
            f"{label} is damaged: it says that this is an export of SongSwap's, and not which"
            " files it has. Nothing was imported: export the data again."
        ) from error
    rows = {name: entry.rows for name, entry in found.files.items()}
    return Manifest(found.version, found.owner, rows)


def owner_digest(spotify_id: str) -> str:
    """Return the SHA-256 of a user's id at Spotify: it shows whose data it is, not who that is."""
    return hashlib.sha256(plain_name(spotify_id).encode("utf-8", "surrogatepass")).hexdigest()


def plain_name(name: str) -> str:
    """Return a name without case, width and composition of its characters."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return plain.strip()
