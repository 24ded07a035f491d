"""The access keys of the embedded S3 endpoint and their rights, in the manner of an IAM policy.

The access file (JSON, mode 0600):

    {"secrets": {"pipeline": "…"},
     "grants": [{"access_key": "pipeline", "methods": ["PUT"], "prefixes": ["history/spotify/"]}]}

A grant allows methods (PUT, GET, DELETE, LIST) on the keys below its prefixes, in every bucket; the
prefix "" means everything, the buckets themselves included. HEAD is GET, and GET includes LIST.
Whatever no grant allows is forbidden.
"""

import json
import secrets as randomness
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Grant:
    """The rights of an access key below some prefixes of every bucket."""

    access_key: str
    methods: tuple[str, ...]
    prefixes: tuple[str, ...]


# The keys' rights in production, and `admin`, which may do everything.
PLATFORM_GRANTS = (
    Grant("pipeline", ("PUT",), ("history/spotify/user", "history/export/user")),
    Grant("reader", ("GET", "LIST"), ("history/",)),
    Grant(
        "tests",
        ("PUT", "GET", "DELETE"),
        ("tests/", "history/spotify/user0/", "history/export/user0/", "history/songswap-check.txt"),
    ),
    Grant("eraser", ("LIST", "DELETE"), ("history/spotify/user", "history/export/user")),
    Grant("admin", ("PUT", "GET", "DELETE"), ("",)),
)


@dataclass(frozen=True)
class Access:
    """Secrets by access key, and the grants of these keys."""

    secrets: dict[str, str]
    grants: tuple[Grant, ...]

    def allows(self, access_key: str, method: str, key: str) -> bool:
        """True when a grant covers this method on this object key ("" for the bucket)."""
        return any(
            grant.access_key == access_key
            and (method in grant.methods or (method == "LIST" and "GET" in grant.methods))
            and key.startswith(grant.prefixes)
            for grant in self.grants
        )

    def to_json(self) -> str:
        """The access file's text."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Access":
        """Parse the access file's text."""
        content = json.loads(text)
        grants = [
            Grant(grant["access_key"], tuple(grant["methods"]), tuple(grant["prefixes"]))
            for grant in content["grants"]
        ]
        return cls(content["secrets"], tuple(grants))


def platform_access() -> Access:
    """The platform's keys (`pipeline`, `reader`, `tests`, `eraser`, `admin`) with new secrets."""
    keys = {grant.access_key for grant in PLATFORM_GRANTS}
    return Access({key: randomness.token_urlsafe(24) for key in sorted(keys)}, PLATFORM_GRANTS)
