"""Popularity: the same observations give the same rows, in any order and in any batches."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from songswap.models import Catalogue, Popularity
from songswap.transform import answer
from songswap.transform.track import add_track
from songswap.warehouse.popularity import Earlier, compare

BEGIN = datetime(2026, 11, 22, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

# Four hours around a midnight, in which no moment of a track has two values.
OBSERVATIONS = st.lists(
    st.builds(
        lambda track, minute, value: Popularity(f"t{track}", BEGIN + minute * MINUTE, value),
        st.integers(1, 2),
        st.integers(0, 240),
        st.integers(1, 3),
    ),
    unique_by=lambda row: row[:2],
    max_size=30,
)


def told(observations: list[Popularity]) -> list[Popularity]:
    """What a catalogue makes of tracks that are told again and again."""
    catalogue = Catalogue()
    for id_, date, value in observations:
        whole = answer.Track(
            id_, "T", 1, value, None, [answer.Artist("a", "A")], answer.Album(images=[])
        )
        add_track(catalogue, whole, {}, date)
    return list(catalogue.track_popularity.values())


def load(table: set[Popularity], observations: list[Popularity]) -> None:
    """Do with a table what a load does."""
    rows = told(observations)
    tracks = {row.id for row in rows}
    compared = compare(rows, [row for row in table if row.id in tracks])
    for earlier in compared.earlier:
        (old,) = (row for row in table if row[:2] == (earlier.id, earlier.instead_of))
        table.remove(old)
        table.add(old._replace(date=earlier.date))
    table.update(compared.new)


@given(observations=OBSERVATIONS, data=st.data())
def test_order_and_batches(observations: list[Popularity], data: st.DataObject) -> None:
    """Of each track, day and value the earliest is the row, however they were loaded."""
    expected: dict[tuple[object, ...], Popularity] = {}
    for row in sorted(observations):
        expected.setdefault((row.id, row.date.date(), row.popularity), row)
    for _ in range(2):
        left = data.draw(st.permutations(observations))
        table: set[Popularity] = set()
        while left:
            size = data.draw(st.integers(1, len(left)))
            load(table, left[:size])
            left = left[size:]
        assert table == set(expected.values())
        before = set(table)
        load(table, observations)
        assert table == before


def test_known_tracks() -> None:
    """A track is known when all that is told of it is; an earlier observation is news."""
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    found = [Popularity("a", at, 5), Popularity("b", at, 5)]
    rows = [
        Popularity("a", at + MINUTE, 5),
        Popularity("b", at + MINUTE, 5),
        Popularity("b", at + MINUTE, 6),
        Popularity("c", at, 1),
    ]
    compared = compare(rows, found)
    assert compared.known == {"a"}
    assert compared.new == [rows[2], rows[3]]
    earlier = compare([Popularity("a", at - MINUTE, 5)], found)
    assert earlier == ([], [Earlier("a", at - MINUTE, at)], set())


def test_two_values_at_one_moment() -> None:
    """One of them is a row: the one that is there, or the smaller."""
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    both = [Popularity("a", at, 6), Popularity("a", at, 5)]
    assert compare(both, []).new == [both[1]]
    assert compare(both, [both[0]]).new == []
    moved = compare(both, [both[0], both[1]._replace(date=at + MINUTE)])
    assert moved.earlier == []
