"""Turn a response of recently played into the plays of one user, and their tracks."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from songswap.models import Catalogue, Play, RecentPlays, RejectedItem
from songswap.transform import responses, shapes
from songswap.transform.track import add_again, add_track
from songswap.transform.values import clean, is_id, is_plausible, moment

NO_LIST_OF_PLAYS = "the response is not a list of plays"

PAGE_SIZE = 50
"""Items requested per page, the most that Spotify allows."""

_KINDS_OF_TRACKS = ("", "track", "local")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNTIMELY = "played_at: before Spotify or in the future"
"""The reason for which an item is rejected because of its time. Our own clock may be wrong: a
response with such an item does not count as seen, and is loaded again when it is repeated."""

_play = partial(tuple.__new__, Play)
"""Makes a play of a tuple, without the call in Python that its own constructor is."""


def transform(
    body: bytes, user_id: int, observed_at: datetime, catalogue: Catalogue
) -> RecentPlays:
    """Read one user's response; add the tracks of its plays to ``catalogue``.

    Never raises, whatever ``body`` is: an item that cannot be a row is rejected with its reason,
    and a response that cannot be read at all is rejected as a whole.

    Args:
        body: the response as it came from Spotify.
        user_id: the platform's id of the user.
        observed_at: when Spotify returned it (aware, UTC).
    """
    recent = RecentPlays()
    parsed = responses.read_page(body, shapes.RecentlyPlayed, shapes.Item)
    if parsed is None:
        digest = hashlib.sha256(body).digest()
        recent.rejected_items.append(RejectedItem(digest, NO_LIST_OF_PLAYS, None))
        return recent
    items, page = parsed
    recent.items = len(items)
    recent.full = len(items) >= _capacity(page.limit) or _has_older(page.next)
    recent.since = _requested_after(page.href)
    for item in items:
        _add_item(item, user_id, observed_at, recent, catalogue)
    if not items and recent.full:
        recent.oldest = recent.newest = _newest_left_out(page.cursors, observed_at)
    return recent


def _capacity(limit: Any) -> int:
    """Return how many items the page could hold: its own ``limit`` where that makes sense."""
    return limit if type(limit) is int and 0 < limit < PAGE_SIZE else PAGE_SIZE


def _has_older(next_url: Any) -> bool:
    """Return whether ``next`` leads to older plays.

    Spotify removes items from a page after it has cut it, and then only ``next`` shows that the
    page was full. A page requested with ``after`` has a ``next`` to newer plays, even where there
    are none.
    """
    if not isinstance(next_url, str):
        return bool(next_url)
    try:
        query = parse_qs(urlsplit(next_url).query)
    except ValueError:
        return True
    return bool(next_url) and ("before" in query or "after" not in query)


def _requested_after(href: Any) -> datetime | None:
    """Return the time after which plays were requested, by the page's own address."""
    try:
        after = parse_qs(urlsplit(href).query).get("after") if isinstance(href, str) else None
    except ValueError:
        return None
    return _time_of(after[-1]) if after else None


def _time_of(cursor: str) -> datetime | None:
    """Return the time of a cursor, which is in ms since 1970; None where it is no cursor."""
    if not re.fullmatch("[0-9]{1,13}", cursor):
        return None
    return _EPOCH + timedelta(milliseconds=int(cursor))


def _newest_left_out(cursors: Any, observed_at: datetime) -> datetime | None:
    """Return when the newest play was that was removed from a full page without items."""
    after = cursors.get("after") if isinstance(cursors, dict) else None
    played_at = _time_of(after) if isinstance(after, str) else None
    return played_at if played_at and is_plausible(played_at, observed_at) else None


def fingerprint(body: bytes) -> bytes | None:
    """Return a digest of a response's plays: equal digests mean the same plays.

    Returns:
        None when the response is broken: then only `transform` can read its plays.
    """
    try:
        page = responses.decode(body, shapes.PlayKeys)
    except responses.BROKEN:
        return None
    if page.items is None:
        return None
    # A page from which every item was removed differs from that of a user without plays.
    content = page.items or (page.cursors if page.next else None) or []
    return hashlib.sha256(msgspec.json.encode(content)).digest()


def _add_item(
    item: responses.Parsed[shapes.Item],
    user_id: int,
    observed_at: datetime,
    recent: RecentPlays,
    catalogue: Catalogue,
) -> None:
    value, problems, _ = item
    track = value.track if value else None
    played_at = moment(value.played_at) if value and value.played_at else None
    plausible = played_at is not None and is_plausible(played_at, observed_at)
    if played_at is not None and plausible:
        if recent.oldest is None or played_at < recent.oldest:
            recent.oldest = played_at
        if recent.newest is None or played_at > recent.newest:
            recent.newest = played_at
    # A track that was added before can be a row, whatever it is.
    is_added = plausible and track and not problems and add_again(catalogue, track, observed_at)
    reason = None if is_added else _reason_to_reject(value, problems, played_at, plausible)
    if reason is None and track and track.id and played_at:
        recent.plays.append(_play((user_id, played_at, track.id)))
        if not is_added:
            add_track(catalogue, track, problems and _track_problems(problems), observed_at)
    else:
        recent.rejected_items.append(_rejected_item(item, reason or responses.MISSING))


def _track_problems(problems: responses.Problems) -> responses.Problems:
    return {
        path.removeprefix("track."): problem
        for path, problem in problems.items()
        if path.startswith("track.")
    }


def _reason_to_reject(
    value: shapes.Item | None,
    problems: responses.Problems,
    played_at: datetime | None,
    plausible: bool,
) -> str | None:
    """Return why an item cannot be a row of "History"; None when it can."""
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


def _is_a_track(track: shapes.Track) -> bool:
    """Return whether it is a track, by its type and URI; without either, it is."""
    if track.type == "track" and track.uri and track.uri.startswith("spotify:track:"):
        return True
    scheme, _, rest = (track.uri or "").partition(":")
    kind = rest.partition(":")[0] if scheme.casefold() == "spotify" else ""
    return (track.type or "track").casefold() == "track" and kind.casefold() in _KINDS_OF_TRACKS


def _rejected_item(item: responses.Parsed[shapes.Item], reason: str) -> RejectedItem:
    value, _, raw = item
    content: Any = raw
    if raw is None and value is not None:
        track = value.track
        content = {"played_at": value.played_at, "track": None}
        if track is not None:
            content["track"] = {"id": track.id, "name": track.name}
    fields = content if isinstance(content, dict) else {}
    inner = fields.get("track")
    track_fields = inner if isinstance(inner, dict) else {}
    time = fields.get("played_at")
    identity = [
        _scalar(content if not isinstance(content, dict) else None),
        _scalar(time),
        _scalar(track_fields.get("id")),
        _scalar(track_fields.get("name")),
    ]
    digest = hashlib.sha256(json.dumps([reason, *identity]).encode()).digest()
    return RejectedItem(digest, reason, clean(time)[:40] if isinstance(time, str) else None)


def _scalar(value: Any) -> Any:
    """Return a value, or the name of its type where it could be deeply nested."""
    return type(value).__name__ if isinstance(value, list | dict) else value
