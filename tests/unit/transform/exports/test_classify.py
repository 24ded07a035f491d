"""Streams of an export are classified, beside the stored ones and the plays of the API."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from songswap.models import Stream
from songswap.transform.exports.classify import classify
from songswap.transform.exports.deduplicate import deduplicate, identity, number_repeats
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule

T = datetime(2026, 1, 2, tzinfo=UTC)
RULE = Rule(30_000)


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def stream(seconds: float, track: str | None = "a", listened_s: float = 60, **more: Any) -> Stream:
    return Stream(at(seconds), round(listened_s * 1000), track, f"Song {track}", "Artist", **more)


def nobody(_: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    return {}


def settled(
    streams: Sequence[Stream],
    plays: Sequence[tuple[datetime, str]] = (),
    known: Sequence[ClassifiedStream] = (),
) -> list[ClassifiedStream]:
    new = deduplicate(streams, known, RULE)
    return classify(new, known, plays, [play[0] for play in plays], RULE, nobody)


def outcomes(found: Sequence[ClassifiedStream]) -> list[tuple[str, datetime | None]]:
    return [
        (one.outcome.value, one.played_at)
        for one in sorted(found, key=lambda one: one.stream.ended_at)
    ]


def test_short_private_and_unidentified_streams_are_no_plays() -> None:
    streams = [
        stream(100, listened_s=29.9),
        stream(200, incognito=True),
        stream(300, None),
        stream(400, listened_s=30),
    ]
    assert outcomes(settled(streams)) == [
        ("short", None),
        ("private", None),
        ("unidentified", None),
        ("loaded", at(400)),
    ]


def test_moments_are_one_plays_own() -> None:
    """Plays that end together, or where another play stands, get the next free millisecond."""
    taken = [(at(100), "z"), (at(100.001), "y")]
    found = settled([stream(100, "a"), stream(100, "b"), stream(100, "c")], taken)
    assert sorted(one.played_at for one in found if one.played_at) == [
        at(100.002),
        at(100.003),
        at(100.004),
    ]
    assert sorted(one.place for one in found) == [0, 1, 2]


def test_same_row_of_two_files_is_one_stream() -> None:
    """Of another track, or at another time, it is not."""
    new = deduplicate([stream(100), stream(100), stream(100, "b"), stream(160)], [], RULE)
    assert (len(new.streams), new.counts) == (3, {"repeated": 1})


def test_merged_before_loaded() -> None:
    """A play that the API returned is merged, at its time; any other is loaded."""
    found = settled([stream(60), stream(120)], [(at(60.3), "a")])
    assert outcomes(found) == [("merged", at(60.3)), ("loaded", at(120))]


def test_known_play_stays_what_it_is() -> None:
    known = settled([stream(60)], [(at(60.3), "a")])
    new = deduplicate([stream(60)], known, RULE)
    assert (new.streams, new.counts) == ([], {"duplicates": 1})


def test_by_name_and_artist() -> None:
    """Under another id the same names at the same time are the same play; with a pause they are
    not, and neither is a track without a name."""

    def names(ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        return {one: ("song A".replace("A", "a"), "ARTIST") for one in ids}

    def merged(play: datetime, one: Stream) -> bool:
        new = deduplicate([stream(-5000, "b"), one], [], RULE)
        found = classify(new, [], [(play, "other")], [play], RULE, names)
        return any(each.outcome is Outcome.MERGED for each in found)

    assert merged(at(60.3), stream(60))
    assert not merged(at(-400), stream(60))
    assert not merged(at(60.3), stream(60)._replace(track_name=None))


def named(minute: int, listened_s: float = 60, track: str | None = None) -> Stream:
    """A row of account data, identified or not."""
    length = round(listened_s * 1000)
    return Stream(at(60 * minute), length, track, "Song", "Artist", to_the_minute=True)


def by_names(*ids: str) -> Callable[[Sequence[str]], Mapping[str, tuple[str, str]]]:
    return lambda wanted: {one: ("Song", "Artist") for one in wanted if one in ids}


def test_nearest_play_decides_between_tracks_of_one_name() -> None:
    """Without one the row of account data is unidentified."""
    plays = [(at(305), "x"), (at(630), "y")]
    new = deduplicate([named(5), named(10), named(20)], [], RULE)
    found = classify(new, [], plays, [play[0] for play in plays], RULE, by_names("x", "y"))
    assert outcomes(found) == [("merged", at(305)), ("merged", at(630)), ("unidentified", None)]
    assert [one.stream.track_id for one in found] == ["x", "y", None]
    wrong = classify(
        deduplicate([named(5, track="z")], [], RULE), [], plays, [], RULE, by_names("x", "z")
    )
    assert [(one.stream.track_id, one.played_at) for one in wrong] == [("x", at(305))]


def test_row_identified_later_becomes_a_play_once() -> None:
    """The API's play of meanwhile, if there is one, else a new one; and nothing at a second
    import."""
    first = classify(deduplicate([named(5), named(10)], [], RULE), [], [], [], RULE, nobody)
    assert outcomes(first) == [("unidentified", None)] * 2
    plays = [(at(305), "x")]
    new = deduplicate([named(5, track="x"), named(10, track="x")], first, RULE)
    second = classify(new, first, plays, [at(305)], RULE, nobody)
    assert outcomes(second) == [("merged", at(305)), ("loaded", at(600))]
    assert [one.place for one in second] == [one.place for one in first]
    third = deduplicate([named(5), named(10)], second, RULE)
    assert (third.streams, third.counts) == ([], {"duplicates": 2})


def test_short_track_twice_a_minute_is_two_plays() -> None:
    """In however many files the rows are; a longer track cannot have ended twice."""
    looped = number_repeats([named(5, 31), named(5, 31), named(6, 31), named(7), named(7)])
    new = deduplicate([*looped, *looped[1:]], [], RULE)
    assert [one.nth for one in new.streams] == [0, 1, 0, 0]
    found = classify(new, [], [], [], RULE, nobody)
    assert len({(one.stream.ended_at, one.stream.ms_played, one.place) for one in found}) == 4
    assert deduplicate(number_repeats([named(5, 31)] * 2), found, RULE).stored.keys() == {
        identity(one) for one in looped[:2]
    }
    exact = [stream(310, "x", 31), stream(342, "x", 31)]
    names = [one._replace(track_name="Song", artist_name="Artist") for one in exact]
    assert deduplicate([*names, *looped[:2]], [], RULE).streams == names


ROWS = st.lists(
    st.tuples(
        st.integers(0, 12),  # s: streams that end together, and near each other
        st.sampled_from(["a", "b", None]),
        st.sampled_from([10, 31, 60]),
        st.booleans(),  # returned by the API too
    ),
    max_size=12,
)


@given(rows=ROWS, split=st.integers(0, 12))
def test_each_play_matches_one_stream_at_most(
    rows: list[tuple[int, str | None, int, bool]], split: int
) -> None:
    """However a history comes in parts; no two plays have one moment."""
    streams = [stream(20 * s, track, length) for s, track, length, _ in rows]
    plays = sorted(
        {at(20 * s + 0.3): track for s, track, length, api in rows if api and track}.items()
    )
    first = settled(streams[:split], plays)
    used = {one.played_at for one in first}
    rest = [play for play in plays if play[0] not in used]
    new = deduplicate(streams[split:], first, RULE)
    times = {play[0] for play in plays} | {one.played_at for one in first if one.played_at}
    second = classify(new, first, rest, times, RULE, nobody)
    both = [*first, *(one for one in second if identity(one.stream) not in new.stored)]
    assert len({(one.stream.ended_at, one.stream.ms_played, one.place) for one in both}) == len(
        both
    )
    assert len(
        {(one.stream.ended_at, one.stream.ms_played, one.stream.track_id) for one in both}
    ) == len(both)
    moments = [one.played_at for one in both if one.played_at]
    assert len(set(moments)) == len(moments)
    merged = [one for one in both if one.outcome is Outcome.MERGED]
    assert {(one.played_at, one.stream.track_id) for one in merged} <= set(plays)


def test_offline_play_replaces_what_account_data_made_of_it() -> None:
    """Account data has it at the minute of its upload; the extended history tells when it was."""
    upload = named(600, 200, track="a")
    made = classify(deduplicate([upload], [], RULE), [], [], [], RULE, nobody)
    exact = Stream(at(900), 200_000, "a", "Song", "Artist", reported_at=at(36_010))
    new = deduplicate([exact], made, RULE)
    assert new.replaces == {exact: made[0]}
    plays = [(at(900.2), "a")]
    assert outcomes(classify(new, made, plays, [at(900.2), at(36_000)], RULE, nobody)) == [
        ("merged", at(900.2))
    ]
    again = deduplicate([upload], classify(new, made, [], [], RULE, nobody), RULE)
    assert (again.streams, again.counts) == ([], {"duplicates": 1})


def test_account_data_that_took_one_play_for_two() -> None:
    """A play that stands there twice, in two minutes, is one when the extended history tells it:
    of its two rows the one that the API returned stays."""
    rough = [named(5, track="a"), named(6, track="a")]
    plays = [(at(360), "a")]
    made = classify(deduplicate(rough, [], RULE), [], plays, [at(360)], RULE, nobody)
    assert sorted(one.outcome for one in made) == ["loaded", "merged"]
    exact = [
        Stream(at(358), 60_000, "a", "Song", "Artist"),
        Stream(at(360), 60_000, "a", "Song", "Artist"),
    ]
    new = deduplicate(exact, made, RULE)
    (left,) = new.streams
    assert new.replaces[left].outcome is Outcome.MERGED
    assert [one.outcome for one in new.superseded] == [Outcome.LOADED]
    assert new.counts == {"repeated": 1}
    assert outcomes(classify(new, made, [], [], RULE, nobody)) == [("merged", at(360))]
