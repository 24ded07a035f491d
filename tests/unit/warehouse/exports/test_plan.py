"""Plans of imports: what is handed over stays what it was, and changes nothing the second time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from songswap.models import Stream
from songswap.transform.exports.deduplicate import number_repeats
from songswap.transform.exports.outcomes import ClassifiedStream, Rule
from songswap.warehouse.exports.plan import LoadPlan, Stored, plan_load

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
RULE = Rule(30_000)
Play = tuple[datetime, str]


def plan(
    streams: list[Stream], stored: Stored, handed_over: set[Play] | None = None, rule: Rule = RULE
) -> LoadPlan:
    return plan_load(1, streams, stored, rule, lambda _: {}, handed_over)


def unmatched(plays: set[Play]) -> list[tuple[datetime, str, str | None]]:
    return [(at, track_id, None) for at, track_id in sorted(plays)]


def stored_rows(classified: list[ClassifiedStream]) -> list[tuple[Any, ...]]:
    """Rows of the statement `stored_streams`."""
    rows = []
    for stream, place, outcome, played_at in classified:
        names = stream.track_id, stream.track_name, stream.artist_name
        more = stream.incognito, stream.platform, stream.to_the_minute
        what = place, str(outcome), played_at, stream.reported_at
        rows.append((stream.ended_at, stream.ms_played, *names, *more, *what))
    return sorted(rows, key=lambda row: (row[0], row[1], row[8]))


def known(result: LoadPlan, plays: set[Play]) -> Stored:
    """What is stored after a plan for an empty warehouse with these plays of the API."""
    outcomes = {row.played_at: str(row.outcome) for row in result.new if row.played_at}
    history = {*plays, *((play.played_at, play.track_id) for play in result.plays)}
    stored = [(at, track_id, outcomes.get(at)) for at, track_id in sorted(history)]
    return Stored(stored_rows(result.new), stored)


def handed_over(result: LoadPlan) -> list[Stream]:
    rows = sorted(
        result.new, key=lambda row: (row.stream.ended_at, row.stream.ms_played, row.place)
    )
    return list(number_repeats(row.stream._replace(nth=0, played_at=row.played_at) for row in rows))


def facts(result: LoadPlan) -> list[tuple[Any, ...]]:
    """Each stream with what it is and which play it is."""
    return sorted(
        (
            *(row.stream.ended_at, row.stream.ms_played, row.stream.to_the_minute),
            *(row.stream.track_id or "", str(row.outcome), str(row.played_at)),
        )
        for row in result.new
    )


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Stream], set[Play]]:
    """Streams of two devices, some known to the minute, and the API's plays of many of them."""
    streams, plays, at = [], set(), BEGIN
    for _ in range(draw(st.integers(0, 12))):
        at += timedelta(seconds=draw(st.sampled_from([0, 1, 3, 31, 59, 200, 4000])))
        ms = draw(st.sampled_from([1_000, 29_999, 30_000, 31_000, 200_000]))
        track = draw(st.sampled_from(["t1", "t2"]))
        rough = draw(st.booleans())
        stream = Stream(
            at.replace(second=0) if rough else at,
            ms,
            draw(st.sampled_from([track, None])) if rough else track,
            f"Song {track}",
            "Anna",
            incognito=draw(st.sampled_from([None, None, True])),
            platform=None if rough else draw(st.sampled_from(["a", "b"])),
            to_the_minute=rough,
        )
        streams.append(stream)
        if draw(st.booleans()):
            begun = at - timedelta(milliseconds=ms) if draw(st.booleans()) else at
            shift = timedelta(milliseconds=draw(st.integers(-30_000, 30_000)))
            plays.add((begun + shift, draw(st.sampled_from([track, "t3"]))))
    times = {at: (at, track_id) for at, track_id in sorted(plays)}
    return number_repeats(streams), set(times.values())


@given(lives())
def test_empty_warehouse_gets_the_same(life: tuple[list[Stream], set[Play]]) -> None:
    streams, plays = life
    origin = plan(streams, Stored([], unmatched(plays)))
    again = plan(handed_over(origin), Stored([], unmatched(plays)), plays)
    assert facts(again) == facts(origin)
    assert again.plays == origin.plays


@given(lives(), st.integers(30_000, 250_000))
def test_plays_stay_plays(life: tuple[list[Stream], set[Play]], least_ms: int) -> None:
    """Whatever counts as a play in the other warehouse."""
    streams, plays = life
    origin = plan(streams, Stored([], unmatched(plays)))
    again = plan(handed_over(origin), Stored([], unmatched(plays)), plays, Rule(least_ms))
    assert again.plays == origin.plays


@given(lives())
def test_twice_changes_nothing(life: tuple[list[Stream], set[Play]]) -> None:
    streams, plays = life
    origin = plan(streams, Stored([], unmatched(plays)))
    again = plan(handed_over(origin), known(origin, plays), plays)
    assert (again.plays, again.withdrawn, again.new) == ([], [], [])


STREAM = Stream(BEGIN, 200_000, "t1", "Song", "Anna", platform="a")
AT = BEGIN + timedelta(hours=2)


def test_pair_of_the_other_warehouse_is_taken_over() -> None:
    """However far its time is: the other one knew more."""
    play = (AT, "t1")
    [row] = plan([STREAM._replace(played_at=AT)], Stored([], unmatched({play})), {play}).new
    assert (str(row.outcome), row.played_at) == ("merged", AT)


def test_play_of_another_track_at_that_time_is_no_pair() -> None:
    """The one that was handed over could not be stored there."""
    stored = Stored([], unmatched({(AT, "t2")}))
    [row] = plan([STREAM._replace(played_at=AT)], stored, {(AT, "t1")}).new
    assert (str(row.outcome), row.played_at) == ("loaded", BEGIN)


def test_play_that_is_stored_with_another_row_stays_with_it() -> None:
    """No second play is made of the row that was handed over."""
    play = (BEGIN, "t1")
    other = ClassifiedStream(STREAM._replace(ms_played=190_000, platform="b"), 0, "merged", BEGIN)  # type: ignore[arg-type]
    stored = Stored(stored_rows([other]), [(*play, "merged")])
    result = plan([STREAM._replace(played_at=BEGIN)], stored, {play})
    assert (result.new, result.counts) == ([], {"duplicates": 1})


def test_time_of_a_play_is_near_its_end() -> None:
    """A person who edits it cannot move a play elsewhere."""
    for shift in (timedelta(hours=1), -timedelta(seconds=61)):
        [play] = plan([STREAM._replace(played_at=BEGIN + shift)], Stored([], []), set()).plays
        assert play.played_at == BEGIN
    at = BEGIN - timedelta(seconds=59)
    assert plan([STREAM._replace(played_at=at)], Stored([], []), set()).plays[0].played_at == at


def test_private_session_is_no_play_whatever_is_claimed() -> None:
    hidden = STREAM._replace(played_at=BEGIN, incognito=True)
    assert plan([hidden], Stored([], []), set()).plays == []


def test_what_one_export_told_apart_is_no_double_in_another_warehouse() -> None:
    """Two plays of one minute, of which the other one was stored there already."""
    rough = STREAM._replace(
        to_the_minute=True, platform=None, played_at=BEGIN + timedelta(seconds=1)
    )
    exact = STREAM._replace(ended_at=BEGIN + timedelta(seconds=30))
    own = [exact._replace(played_at=exact.ended_at), rough]
    for stored in (exact, rough._replace(played_at=None)):
        first = plan([stored], Stored([], []))
        assert len(first.plays) == 1
        second = plan(own, known(first, set()), set())
        assert len(second.plays) == 1
        assert second.withdrawn == []


def test_plays_that_were_told_apart_are_all_loaded() -> None:
    """In an empty warehouse: of one device that overlap, and of one minute in two exports."""
    later = STREAM._replace(ended_at=BEGIN + timedelta(seconds=3))
    rough = STREAM._replace(to_the_minute=True, platform=None)
    for other in (later, rough):
        assert len(plan([STREAM, other], Stored([], [])).plays) == 1, "Spotify's rows are one"
        times = BEGIN, BEGIN + timedelta(milliseconds=1)
        own = [row._replace(played_at=at) for row, at in zip((STREAM, other), times, strict=True)]
        result = plan(own, Stored([], []), set())
        assert [play.played_at for play in result.plays][:1] == [BEGIN]
        assert len(result.plays) == 2


def test_settled_time_is_not_taken_by_another_play() -> None:
    """One that counts as a play in the other warehouse alone, and ended at the same time."""
    short = STREAM._replace(ms_played=10_000, track_id="t2")
    own = [short, STREAM._replace(played_at=BEGIN)]
    plays = plan(own, Stored([], []), set(), Rule(5_000)).plays
    assert [(play.track_id, play.played_at) for play in plays] == [
        ("t1", BEGIN),
        ("t2", BEGIN + timedelta(milliseconds=1)),
    ]


ROUGH = STREAM._replace(to_the_minute=True, platform=None)


def history(stored: Stored, result: LoadPlan) -> list[Play]:
    """The plays that are stored after a plan."""
    left = {at: track_id for at, track_id, _ in stored.plays if at not in result.withdrawn}
    written = {play.played_at: play.track_id for play in (*result.plays, *result.corrected)}
    return sorted((left | written).items())


@pytest.mark.parametrize(
    ("earlier", "own"),
    [
        (STREAM, STREAM),
        (ROUGH, ROUGH),
        (ROUGH, STREAM._replace(ended_at=BEGIN + timedelta(seconds=30))),
        (STREAM._replace(ended_at=BEGIN + timedelta(seconds=30)), ROUGH),
        (STREAM, STREAM._replace(ended_at=BEGIN + timedelta(seconds=3))),
    ],
    ids=["exact", "to the minute", "exact after", "to the minute after", "double"],
)
def test_stream_that_is_stored_as_a_play_gives_way_to_the_one_that_it_was(
    earlier: Stream, own: Stream
) -> None:
    """Whichever came first: nothing here shows that the track of the API is the same recording."""
    play = (BEGIN - timedelta(seconds=200), "t3")
    own = own._replace(played_at=play[0])
    first = plan([earlier], Stored([], []))
    stored = known(first, {play})
    assert len(history(stored, first)) == 2
    assert history(stored, plan([own], stored, {play})) == [play]

    own_first = plan([own], Stored([], unmatched({play})), {play})
    stored = known(own_first, {play})
    assert history(stored, plan([earlier], stored)) == [play]


@given(lives())
def test_plays_of_exports_give_way_to_those_that_they_were(
    life: tuple[list[Stream], set[Play]],
) -> None:
    """Spotify's exports first, then the hand-over of a warehouse that had the API's plays too."""
    streams, plays = life
    origin = plan(streams, Stored([], unmatched(plays)))
    first = plan(streams, Stored([], []))
    assume(not {at for at, _ in plays} & {play.played_at for play in first.plays})
    stored = known(first, plays)
    again = history(stored, plan(handed_over(origin), stored, plays))
    assert len(again) == len({*plays, *((play.played_at, play.track_id) for play in origin.plays)})
