"""What an erasure would remove, and what it has removed: pure, with ids, counts and times alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from songswap.warehouse.erasures import Erasure, Place


class Preview(NamedTuple):
    """What an erasure would remove.

    ``rows`` are by table; ``archive`` are objects, versions and bytes, None where they could not be
    listed: ``archive_problem`` says why. ``hosts`` are asked to look through their spools.
    ``requested_at`` is when an erasure was requested that is in force.
    """

    user_id: int
    keeps_account: bool
    rows: dict[str, int]
    archive: dict[str, int] | None
    archive_problem: str | None
    hosts: tuple[str, ...]
    requested_at: datetime | None

    @property
    def is_done(self) -> bool:
        """Whether nothing would be removed, because it is by an erasure that is in force."""
        return bool(self.requested_at and not self.rows and not any((self.archive or {}).values()))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return self._asdict() | {
            "rows": _numbers(self.rows),
            "archive": _numbers(self.archive or {}),
            "hosts": list(self.hosts),
            "requested_at": _iso(self.requested_at),
        }


class Receipt(NamedTuple):
    """The proof of an erasure: what was removed where, and when each place confirmed."""

    erasure: Erasure
    places: tuple[Place, ...]
    is_elsewhere: bool = False
    """Whether another process is at work on it."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left anywhere of what the user had."""
        is_swept = self.erasure.renewed_at or all(place.is_swept for place in self.places)
        has_ended = self.erasure.ended_at is not None and bool(is_swept)
        return has_ended and all(place.confirmed_at for place in self.places)

    @property
    def waiting(self) -> list[str]:
        """The sentences of the places that have not confirmed."""
        hosts = [place for place in self.places if place.is_spool and not place.confirmed_at]
        own = [place for place in self.places if not place.is_spool and not place.confirmed_at]
        sentences = [place.problem for place in own if place.problem]
        if self.is_elsewhere:
            sentences.append(
                "Another process is at work on this erasure, or on an import of the user."
            )
        sentences += [_of_host(place) for place in hosts]
        if not (sentences or self.is_complete):
            sentences.append("The warehouse and S3 have to be swept once more.")
        return sentences

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON holds it: ids, counts and times."""
        erasure = self.erasure
        return {
            "erasure_id": erasure.erasure_id,
            "user_id": erasure.user_id,
            "reason": erasure.reason,
            "keeps_account": erasure.keeps_account,
            "requested_at": erasure.requested_at.isoformat(),
            "ended_at": _iso(erasure.ended_at),
            "renewed_at": _iso(erasure.renewed_at),
            "is_complete": self.is_complete,
            "waiting": self.waiting,
            "places": [
                {
                    "place": place.place,
                    "host": place.host,
                    "removed": _numbers(place.removed),
                    "confirmed_at": _iso(place.confirmed_at),
                    "problem": place.problem,
                }
                for place in self.places
            ],
        }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _numbers(counts: Mapping[str, int]) -> list[dict[str, str | int]]:
    """Return counts for JSON: their names are data, such as those of tables."""
    return [{"what": name, "number": number} for name, number in sorted(counts.items())]


def _of_host(place: Place) -> str:
    """Say for what a host's place waits."""
    at = f"Host {place.host} (spool {place.place})"
    if place.problem:
        return f"{at}: {place.problem}"
    if place.at_work:
        return (
            f"{at} has erased, and waits for {len(place.at_work)} processes that may have a"
            " response of the user still. Its first drain after their end confirms."
        )
    seen = f", last seen {place.seen_at:%Y-%m-%d %H:%M} UTC" if place.seen_at else ""
    return (
        f"{at}{seen}: its next drain erases there and confirms. If its disk is gone, 'songswap"
        f" spool forget {place.host}' closes its place."
    )
