"""Build and parse the keys of objects in the archive: the only place that does."""

import hashlib
import re
from datetime import UTC, datetime
from typing import NamedTuple

PREFIX = "history/spotify/"

EXPORTS = "history/export/"
"""The prefix of the rows of users' exports; the pipeline's key may put below ``history/`` only."""
_HOUR = "%Y-%m-%d_%H"
_EXPORT = re.compile(r"user(\d+)_(extended|account|plays|streams|tracks)_[0-9a-f]{16}\.json")
_FOLDER = re.compile(rf"(?:{PREFIX}|{EXPORTS})user(0|[1-9]\d{{0,8}}|[12]\d{{9}})/?")
_KEY = re.compile(r"user(\d+)_spotify_(\d{4}-\d\d-\d\d_\d\d)(?:_[0-9a-f]{16})?\.json")


class Place(NamedTuple):
    """The user and the hour (UTC) of an object."""

    user_id: int
    hour: datetime


def folder(user_id: int, below: str = PREFIX) -> str:
    """Return the prefix of the keys of a user's responses, or of the rows of the user's exports."""
    return f"{below}user{user_id}/"


def for_hour(user_id: int, observed_at: datetime) -> str:
    """Return the platform's key for a user's response of an hour (UTC)."""
    return f"{_stem(user_id, observed_at)}.json"


def beside(key: str, body: bytes) -> str:
    """Return the key of another response of the same hour: it has the digest of the body.

    The same response always has the same key, so storing it twice changes nothing.
    """
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f"{key.removesuffix('.json')}_{digest}.json"


def for_export(user_id: int, kind: str, body: bytes) -> str:
    """Return the key of the rows of a file of an export: equal rows have the same key."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f"{folder(user_id, EXPORTS)}user{user_id}_{kind}_{digest}.json"


def before(user_id: int, hour: datetime) -> str:
    """Return a text between the keys of a user's hour and those of earlier hours."""
    return _stem(user_id, hour)


def user_of(folder: str) -> int | None:
    """Return the user of a folder below `PREFIX` or `EXPORTS`; None where it is no user's."""
    found = _FOLDER.fullmatch(folder)
    return int(found[1]) if found else None


def parse_export(key: str) -> tuple[int, str] | None:
    """Return the user and the kind of the rows under a key; None where it is no such key."""
    parent, _, name = key.rpartition("/")
    user_id, found = user_of(parent), _EXPORT.fullmatch(name)
    if user_id is None or found is None or found[1] != str(user_id):
        return None
    return user_id, found[2]


def parse(key: str) -> Place | None:
    """Return the user and hour of a response's key; None where it is not a key of ours."""
    parent, _, name = key.rpartition("/")
    user_id, found = user_of(parent), _KEY.fullmatch(name)
    if user_id is None or found is None or found[1] != str(user_id):
        return None
    try:
        hour = datetime.strptime(found[2], _HOUR).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Place(user_id, hour)


def _stem(user_id: int, moment: datetime) -> str:
    hour = moment.astimezone(UTC).strftime(_HOUR)
    return f"{folder(user_id)}user{user_id}_spotify_{hour}"
