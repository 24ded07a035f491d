"""Object keys of raw answers: the only place that builds and reads them."""

import hashlib
import re
from datetime import UTC, datetime
from typing import NamedTuple

PREFIX = "history/spotify/"

EXPORTS = "history/export/"
"""Below it lie the rows of users' exports; the pipeline's key may put below ``history/`` only."""
_HOUR = "%Y-%m-%d_%H"
_EXPORT = re.compile(r"user(\d+)_(extended|account)_[0-9a-f]{16}\.json")
_FOLDER = re.compile(rf"(?:{PREFIX}|{EXPORTS})user(0|[1-9]\d{{0,8}}|[12]\d{{9}})/?")
_KEY = re.compile(r"user(\d+)_spotify_(\d{4}-\d\d-\d\d_\d\d)(?:_[0-9a-f]{16})?\.json")


class Place(NamedTuple):
    """Whose answer an object is, and of which hour (UTC)."""

    user_id: int
    hour: datetime


def folder(user_id: int, below: str = PREFIX) -> str:
    """What the keys of all answers of a user begin with, or of the rows of the user's exports."""
    return f"{below}user{user_id}/"


def for_hour(user_id: int, observed_at: datetime) -> str:
    """The platform's key for a user's answer of an hour (UTC)."""
    return f"{_stem(user_id, observed_at)}.json"


def beside(key: str, body: bytes) -> str:
    """Where another answer of the same hour goes: the digest of its body tells it from the first.

    The same answer always has the same key, so keeping it twice changes nothing.
    """
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f"{key.removesuffix('.json')}_{digest}.json"


def for_export(user_id: int, kind: str, body: bytes) -> str:
    """Where the rows of a file of a user's export go: the same rows always have the same key."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f"{folder(user_id, EXPORTS)}user{user_id}_{kind}_{digest}.json"


def before(user_id: int, hour: datetime) -> str:
    """What comes before the keys of a user's hour, and after those of earlier hours."""
    return _stem(user_id, hour)


def user_of(folder: str) -> int | None:
    """The user of a folder below `PREFIX` or `EXPORTS`; None where it is nobody's."""
    found = _FOLDER.fullmatch(folder)
    return int(found[1]) if found else None


def parse_export(key: str) -> tuple[int, str] | None:
    """Whose export the rows under a key are of, and their kind; None where it is no such key."""
    parent, _, name = key.rpartition("/")
    user_id, found = user_of(parent), _EXPORT.fullmatch(name)
    if user_id is None or found is None or found[1] != str(user_id):
        return None
    return user_id, found[2]


def parse(key: str) -> Place | None:
    """Whose answer lies under a key, and of which hour; None where it is not a key of ours."""
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
