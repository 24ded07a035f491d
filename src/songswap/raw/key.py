"""Object keys of raw answers: the only place that builds them."""

import hashlib
from datetime import UTC, datetime

PREFIX = "history/spotify/"

EXPORTS = "history/export/"
"""Below it lie the rows of users' exports; the pipeline's key may put below ``history/`` only."""


def for_hour(user_id: int, observed_at: datetime) -> str:
    """The platform's key for a user's answer of an hour (UTC)."""
    hour = observed_at.astimezone(UTC).strftime("%Y-%m-%d_%H")
    return f"{PREFIX}user{user_id}/user{user_id}_spotify_{hour}.json"


def beside(key: str, body: bytes) -> str:
    """Where another answer of the same hour goes: the digest of its body tells it from the first.

    The same answer always has the same key, so keeping it twice changes nothing.
    """
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f"{key.removesuffix('.json')}_{digest}.json"


def for_export(user_id: int, kind: str, body: bytes) -> str:
    """Where the rows of a file of a user's export go: the same rows always have the same key."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f"{EXPORTS}user{user_id}/user{user_id}_{kind}_{digest}.json"
