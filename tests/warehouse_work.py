"""Pieces of work on a warehouse, each a function of its connection, as the pipeline does them.

Everything has the same time, so that what is left is the same in any order.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg
from spotify_json import OBSERVED_AT as AT

from songswap.errors import ExportRefused
from songswap.models import Catalogue, Features, Metadata, Stream
from songswap.pipelines.load import load_catalogue
from songswap.transform import metadata as read
from songswap.transform import recent_plays
from songswap.transform.exports.outcomes import Rule
from songswap.warehouse import enrichment, plays, polls, rejected_items
from songswap.warehouse.exports import streams
from songswap.warehouse.plays import ParsedResponse, PollBatch

Work = Callable[[psycopg.Connection], object]
Tracks = Mapping[int, Mapping[str, Any] | None]
"""Tracks as Spotify returns them, by the minutes before `AT` of their plays; None is broken."""

_STALE_AFTER = timedelta(days=1)
_RETRY_AFTER = timedelta(hours=1)
_RULE = Rule(30_000)


def moment(minute: int) -> datetime:
    """The time of a play: so many minutes before `AT`."""
    return AT.replace(microsecond=0) - timedelta(minutes=minute)


def parsed(user: int, tracks: Tracks, catalogue: Catalogue, at: datetime) -> ParsedResponse:
    """A response with a user's plays, parsed; adds their tracks to ``catalogue``."""
    items = [{"played_at": f"{moment(n):%FT%TZ}", "track": track} for n, track in tracks.items()]
    body = json.dumps({"items": items, "limit": 50}).encode()
    fingerprint = recent_plays.fingerprint(body)
    response = recent_plays.transform(body, user, at, catalogue)
    return ParsedResponse(user, at, f"of user {user}", fingerprint, response)


def load(*batches: Mapping[int, Tracks], at: datetime = AT, run: str = "run") -> Work:
    """A load of batches of users' responses, by user; each batch a minute after the one before."""

    def work(connection: psycopg.Connection) -> object:
        rounds = []
        for minutes, responses in enumerate(batches):
            catalogue, observed_at = Catalogue(), at + timedelta(minutes=minutes)
            batch = [
                parsed(user, tracks, catalogue, observed_at) for user, tracks in responses.items()
            ]
            rounds.append(PollBatch(batch, catalogue, AT))
        queued = load_catalogue(connection, rounds, _STALE_AFTER, Counter())
        return plays.load(connection, queued, run, _STALE_AFTER)

    return work


def enrich_tracks(*tracks: Mapping[str, Any], at: datetime = AT) -> Work:
    """A response of ``/tracks``."""
    return _enrich("track", "tracks", tracks, read.tracks, at)


def enrich_artists(*artists: Mapping[str, Any], at: datetime = AT) -> Work:
    """A response of ``/artists``."""
    return _enrich("artist", "artists", artists, read.artists, at)


def enrich_features(*numbers: int) -> Work:
    """A response of ``/audio-features`` about the tracks with these numbers."""
    entries = [dict.fromkeys(Features._fields, 0) | {"id": f"{n:022d}"} for n in numbers]

    def parse(body: bytes, ids: Sequence[str], _: datetime) -> Metadata:
        return read.features(body, ids)

    return _enrich("features", "audio_features", entries, parse, AT)


def _enrich(
    kind: str,
    name: str,
    entries: Sequence[Mapping[str, Any]],
    parse: Callable[..., Metadata],
    at: datetime,
) -> Work:
    ids = [entry["id"] for entry in entries]
    body = json.dumps({name: entries}).encode()

    def work(connection: psycopg.Connection) -> object:
        rows = parse(body, ids, at)
        return enrichment.load(connection, kind, ids, rows, at, _RETRY_AFTER)

    return work


def import_export(user: int, tracks: Tracks) -> Work:
    """An import of a user's export: streams of whole tracks, with their ids and names."""
    heard = [
        Stream(
            moment(minute),
            track["duration_ms"],
            track["id"],
            track["name"],
            track["artists"][0]["name"],
            reason_end="trackdone",
        )
        for minute, track in tracks.items()
        if track
    ]
    ends = [stream.ended_at for stream in heard]
    export = streams.Export(user, heard, [(min(ends), max(ends))], [], [])

    def work(connection: psycopg.Connection) -> object:
        # The user may have been deleted.
        with suppress(ExportRefused):
            streams.load(connection, export, f"import of {user}", _RULE, {}, AT)
        return None

    return work


def record_polls(*users: int) -> Work:
    """The record that users' polls returned nothing new, in this order."""

    def work(connection: psycopg.Connection) -> object:
        polls.record_polls(connection, dict.fromkeys(users), AT)
        return None

    return work


def move_raw(user: int, at: datetime = AT) -> Work:
    """The response of a user is archived under another key."""

    def work(connection: psycopg.Connection) -> object:
        rejected_items.move_raw(connection, user, at, f"moved, of user {user}")
        return None

    return work


def delete_user(user: int) -> Work:
    """The web app deletes a user."""
    return lambda connection: connection.execute('DELETE FROM "Users" WHERE id = %s', [user])


def in_turn(*works: Work) -> Work:
    """Several pieces of work, one after the other."""

    def work(connection: psycopg.Connection) -> object:
        return [each(connection) for each in works]

    return work
