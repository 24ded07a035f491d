"""Tens of thousands of plays of simulated lives: what becomes of an export, beside the truth."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from songswap.dev.simulator.clock import iso, parse_iso
from songswap.dev.simulator.export import ExportKind, make_export
from songswap.dev.simulator.listener import DAY, Listener
from songswap.dev.simulator.world import SimulatedWorld
from songswap.models import Stream
from songswap.transform.exports.classify import classify
from songswap.transform.exports.deduplicate import deduplicate
from songswap.transform.exports.files import read
from songswap.transform.exports.intervals import StreamInterval, in_order
from songswap.transform.exports.kinds import kind_of
from songswap.transform.exports.matching import match
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule

NOW = parse_iso("2026-11-22T18:00:00Z")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RULE = Rule(30_000)
Names = Mapping[str, tuple[str, str]]
Key = tuple[Any, ...]


class Life(NamedTuple):
    """A listener's plays of the API, the export, and the truth: by the key of a stream, the API's
    time of the play that it is, None where it is none, and the kind of row."""

    plays: list[tuple[datetime, str]]
    streams: list[Stream]
    truth: Mapping[Key, set[tuple[datetime | None, str]]]


def moment(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def lives(kind: ExportKind) -> Iterator[tuple[Life, Names]]:
    """Lives of which the API returned two days of three, and the names of its tracks."""
    world = SimulatedWorld(3, 40, NOW - 30 * DAY)
    everybody = [
        listener for listener in world.listeners.values() if isinstance(listener, Listener)
    ]
    plays_of = {
        one.number: [
            play for play in one.plays(NOW) if play.listed_at <= NOW and play.played_at // DAY % 3
        ]
        for one in everybody
    }
    tracks = {play.track for plays in plays_of.values() for play in plays}
    names = {world.catalogue.track_id(track): world.catalogue.names(track)[:2] for track in tracks}
    for listener in everybody:
        plays = plays_of[listener.number]
        returned = [
            (moment(play.played_at), world.catalogue.track_id(play.track)) for play in plays
        ]
        yield life_of(listener, kind, returned), names


def life_of(listener: Listener, kind: ExportKind, plays: list[tuple[datetime, str]]) -> Life:
    made = make_export(listener, NOW, kind, 1_000)
    streams: list[Stream] = []
    for name, body in made.files.items():
        if file := kind_of(name.rpartition("/")[2]):
            streams += read(name, file, body, moment(NOW)).streams
    rows = {name: json.loads(made.files[name]) for name in {one.file for one in made.truth}}
    truth: defaultdict[Key, set[tuple[datetime | None, str]]] = defaultdict(set)
    for one in made.truth:
        row = rows[one.file][one.index]
        at = moment(parse_iso(one.played_at)) if one.played_at else None
        if "ts" in row:
            key: Key = (row["ts"], row["ms_played"], one.track_id)
        else:
            end = row["endTime"].replace(" ", "T") + ":00Z"
            key = (end, row["msPlayed"], row.get("trackName"), row.get("artistName"))
        truth[key].add((at, one.category))
    return Life(plays, streams, truth)


def key_of(stream: Stream) -> Key:
    time = stream.reported_at or stream.ended_at
    end = iso(round((time - EPOCH) / timedelta(milliseconds=1)))[:19] + "Z"
    if stream.to_the_minute:
        return end, stream.ms_played, stream.track_name, stream.artist_name
    return end, stream.ms_played, stream.track_id


def identified(streams: Sequence[Stream], names: Names) -> list[Stream]:
    """Account data's streams with the track that alone has their names, if one has."""
    ids: defaultdict[tuple[str | None, ...], list[str]] = defaultdict(list)
    for track_id, of in names.items():
        ids[of].append(track_id)
    return [
        stream._replace(track_id=found[0])
        if stream.to_the_minute and len(found := ids[stream.track_name, stream.artist_name]) == 1
        else stream
        for stream in streams
    ]


def knowing(names: Names) -> Callable[[Sequence[str]], Names]:
    """Look up names among these."""
    return lambda _: names


@pytest.mark.parametrize("kind", ["extended", "account"])
def test_plays_and_streams_match_as_they_truly_do(kind: ExportKind) -> None:
    """Of the plays that the API returned more than 0.999 are found, and more than 0.999 of what is
    found is right; each play is there once, whether the API returned it before the import or after.

    Of account data a little less: rows that an offline phone reported together can be equal, and a
    row that is there twice is no double where a short track may have been played again.
    """
    merged = right = findable = plays = wrong = 0
    for life, names in lives(kind):
        streams = identified(life.streams, names)
        new = deduplicate(streams, [], RULE)
        times = [at for at, _ in life.plays]
        found = classify(new, [], life.plays, times, RULE, knowing(names))
        pairs = [one for one in found if one.outcome is Outcome.MERGED]
        merged += len(pairs)
        right += len(
            {
                pair.played_at
                for pair in pairs
                if pair.played_at in {at for at, _ in life.truth[key_of(pair.stream)]}
            }
        )
        in_export = {at for rows in life.truth.values() for at, _ in rows}
        findable += len(in_export.intersection(times))

        loaded = sum(one.outcome is Outcome.LOADED for one in found)
        later = classify(new, [], [], [], RULE, lambda _: {})
        loaded_first = sum(one.outcome is Outcome.LOADED for one in later)
        assert loaded == loaded_first - told_after(life, later)
        plays += number(life, found)
        wrong += abs(len(times) + loaded - number(life, found))
    assert findable > 20_000
    assert right / merged >= 0.999, "precision"
    assert right / findable >= (0.999 if kind == "extended" else 0.998), "recall"
    assert wrong / plays <= (0 if kind == "extended" else 0.001), "number"


def told_after(life: Life, settled: Sequence[ClassifiedStream]) -> int:
    """How many of the plays that were made of streams the API tells afterwards."""
    ordered = sorted(settled, key=lambda one: one.stream.ended_at)
    intervals = in_order(StreamInterval.of(one) for one, *_ in ordered)
    made = [
        stream
        for stream, one in zip(intervals, ordered, strict=True)
        if one.outcome is Outcome.LOADED
    ]
    return len(match(life.plays, made))


def number(life: Life, settled: Sequence[ClassifiedStream]) -> int:
    """How many plays there are: those that the API returned or whose track is known, and of account
    data the private ones, which it does not tell apart."""
    unknown = {
        key_of(stream.stream) for stream in settled if stream.outcome is Outcome.UNIDENTIFIED
    }
    plays = {at for at, _ in life.plays}
    private = 0
    for key, rows in life.truth.items():
        if key not in unknown:
            plays |= {at for at, _ in rows if at}
            whats = {what for _, what in rows}
            private += whats == {"private"} and key[1] >= RULE.least_ms and len(key) == 4
    return len(plays) + private
