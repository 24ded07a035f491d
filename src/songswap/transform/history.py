"""An answer of recently played → the plays of one user, and what it tells of their tracks."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from songswap.models import Catalogue, Play, RecentPlays, RejectedItem
from songswap.transform import responses
from songswap.transform.track import add_track
from songswap.transform.values import clean, is_id, is_plausible, moment

NOT_AN_ANSWER = "the answer is not a list of plays"

ASKED = 50
"""How many items are asked for, which is the most that Spotify gives."""

_KINDS_OF_TRACKS = ("", "track", "local")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNTIMELY = "played_at: before Spotify or in the future"
"""Why an item is set aside for its time. It may be our clock that is wrong: an answer with such an
item does not count as seen, and is looked at again when it comes again."""


def transform(
    body: bytes, user_id: int, observed_at: datetime, catalogue: Catalogue
) -> RecentPlays:
    """Read one user's answer; add the tracks it names to ``catalogue``.

    Whatever ``body`` is, nothing is raised: an item that cannot be a row is set aside with its
    reason, and an answer that cannot be read at all is set aside as a whole.

    Args:
        body: the answer as it came from Spotify.
        user_id: the platform's id of the user.
        observed_at: when Spotify gave the answer (aware, UTC).
    """
    history = RecentPlays()
    told = responses.read_whole(body, responses.RecentlyPlayed, responses.Item)
    if told is None:
        digest = hashlib.sha256(body).digest()
        history.rejected_items.append(RejectedItem(digest, NOT_AN_ANSWER, None))
        return history
    items, page = told
    history.items = len(items)
    history.full = len(items) >= _most(page.limit) or _names_older(page.next)
    history.since = _asked_since(page.href)
    for item in items:
        _add_item(item, user_id, observed_at, history, catalogue)
    if not items and history.full:
        history.oldest = history.newest = _newest_left_out(page.cursors, observed_at)
    return history


def _most(limit: Any) -> int:
    """How many items the page could hold, by what it says itself where that makes sense."""
    return limit if type(limit) is int and 0 < limit < ASKED else ASKED


def _names_older(following: Any) -> bool:
    """Whether ``next`` leads to older plays.

    Spotify leaves items out of a page after it has cut it, and then ``next`` alone says that the
    page was full. Of a page that was asked for with ``after``, ``next`` leads to newer plays, and
    is there even where none are.
    """
    if not isinstance(following, str):
        return bool(following)
    try:
        query = parse_qs(urlsplit(following).query)
    except ValueError:
        return True
    return bool(following) and ("before" in query or "after" not in query)


def _asked_since(href: Any) -> datetime | None:
    """The bound after which plays were asked for, by the page's own address."""
    try:
        told = parse_qs(urlsplit(href).query).get("after") if isinstance(href, str) else None
    except ValueError:
        return None
    return _moment_of(told[-1]) if told else None


def _moment_of(cursor: str) -> datetime | None:
    """The moment that a cursor stands for, in ms since 1970; None where it is none."""
    if not re.fullmatch("[0-9]{1,13}", cursor):
        return None
    return _EPOCH + timedelta(milliseconds=int(cursor))


def _newest_left_out(cursors: Any, observed_at: datetime) -> datetime | None:
    """When the newest play was that a full page without any item stands for."""
    after = cursors.get("after") if isinstance(cursors, dict) else None
    played_at = _moment_of(after) if isinstance(after, str) else None
    return played_at if played_at and is_plausible(played_at, observed_at) else None


def fingerprint(body: bytes) -> bytes | None:
    """What an answer says of plays, as a digest: equal digests tell of the same plays.

    Returns:
        None when the answer had to be mended: then only the transform can say what it tells.
    """
    try:
        told = responses.decode(body, responses.PlayedLately)
    except responses.BROKEN:
        return None
    if told.items is None:
        return None
    # A page of which everything was left out is not that of a user who has played nothing.
    says = told.items or (told.cursors if told.next else None) or []
    return hashlib.sha256(msgspec.json.encode(says)).digest()


def _add_item(
    item: responses.Parsed[responses.Item],
    user_id: int,
    observed_at: datetime,
    history: RecentPlays,
    catalogue: Catalogue,
) -> None:
    value, problems, _ = item
    played_at = moment(value.played_at) if value and value.played_at else None
    plausible = played_at is not None and is_plausible(played_at, observed_at)
    if played_at is not None and plausible:
        if history.oldest is None or played_at < history.oldest:
            history.oldest = played_at
        if history.newest is None or played_at > history.newest:
            history.newest = played_at
    reason = _reason_to_reject(value, problems, played_at, plausible)
    if reason is None and value and value.track and value.track.id and played_at:
        history.plays.append(Play._make((user_id, played_at, value.track.id)))
        add_track(catalogue, value.track, problems and _of_track(problems), observed_at)
    else:
        history.rejected_items.append(_rejected_item(item, reason or responses.MISSING))


def _of_track(problems: responses.Problems) -> responses.Problems:
    return {
        path.removeprefix("track."): problem
        for path, problem in problems.items()
        if path.startswith("track.")
    }


def _reason_to_reject(
    value: responses.Item | None,
    problems: responses.Problems,
    played_at: datetime | None,
    plausible: bool,
) -> str | None:
    """Why this item cannot be a row of History, or None when it can."""
    for path in ("", "track", "track.id", "played_at") if problems else ():
        if path in problems:
            return f"{path or 'item'}: {problems[path]}"
    if value is None:
        return f"item: {responses.MISSING}"
    if value.track is None:
        return f"track: {responses.MISSING}"
    if not _is_a_track(value.track):
        return "track.type: not a track"
    if not value.track.id:
        return f"track.id: {responses.MISSING}"
    if not is_id(value.track.id):
        return "track.id: not an id"
    if not value.played_at:
        return f"played_at: {responses.MISSING}"
    if played_at is None:
        return "played_at: not a time with its zone"
    if not plausible:
        return UNTIMELY
    return None


def _is_a_track(told: responses.Track) -> bool:
    """Whether it is a track, by its type and its URI; where neither is told, it is one."""
    if told.type == "track" and told.uri and told.uri.startswith("spotify:track:"):
        return True
    scheme, _, rest = (told.uri or "").partition(":")
    kind = rest.partition(":")[0] if scheme.casefold() == "spotify" else ""
    return (told.type or "track").casefold() == "track" and kind.casefold() in _KINDS_OF_TRACKS


def _rejected_item(item: responses.Parsed[responses.Item], reason: str) -> RejectedItem:
    value, _, raw = item
    claims: Any = raw
    if raw is None and value is not None:
        track = value.track
        claims = {"played_at": value.played_at, "track": None}
        if track is not None:
            claims["track"] = {"id": track.id, "name": track.name}
    record = claims if isinstance(claims, dict) else {}
    inner = record.get("track")
    track_claims = inner if isinstance(inner, dict) else {}
    identity = [
        _scalar(claims if not isinstance(claims, dict) else None),
        _scalar(record.get("played_at")),
        _scalar(track_claims.get("id")),
        _scalar(track_claims.get("name")),
    ]
    digest = hashlib.sha256(json.dumps([reason, *identity]).encode()).digest()
    told = record.get("played_at")
    return RejectedItem(digest, reason, clean(told)[:40] if isinstance(told, str) else None)


def _scalar(value: Any) -> Any:
    """A value that is compared, or only its kind where it could be deep."""
    return type(value).__name__ if isinstance(value, list | dict) else value
