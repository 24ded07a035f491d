"""Popularity: the same observations give the same rows, in any order and in any batches."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from songswap.models import Catalogue, Popularity
from songswap.transform import shapes
from songswap.transform.track import add_track
from songswap.warehouse.popularity import Moved, compare

BEGIN = datetime(2026, 11, 22, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

# Few moments of four hours around a midnight: some have several values.
OBSERVATIONS = st.lists(
    st.builds(
        lambda track, moment, value: Popularity(f"t{track}", BEGIN + moment * 24 * MINUTE, value),
        st.integers(1, 2),
        st.integers(0, 9),
        st.integers(1, 100) | st.integers(98, 100),
    ),
    max_size=30,
)


def told(observations: list[Popularity]) -> list[Popularity]:
    """What a catalogue makes of tracks that are told again and again."""
    catalogue = Catalogue()
    for id_, moment, value in observations:
        whole = shapes.Track(
            id=id_,
            name="T",
            duration_ms=1,
            popularity=value,
            artists=[shapes.Artist("a", "A")],
            album=shapes.Album(images=[]),
        )
        add_track(catalogue, whole, {}, moment)
    return list(catalogue.track_popularity.values())


def load(table: dict[tuple[str, datetime], int], observations: list[Popularity]) -> None:
    """Do with a table what a load does, each row moved to a place that is free."""
    rows = told(observations)
    tracks = {row.id for row in rows}
    found = [Popularity(*key, value) for key, value in table.items() if key[0] in tracks]
    compared = compare(rows, found)
    moving = {(one.id, one.date): table[one.id, one.instead_of] for one in compared.moved}
    assert not moving.keys() & table.keys()
    for one in compared.moved:
        del table[one.id, one.instead_of]
    table.update(moving)
    for one in compared.following:
        assert (one.id, one.date) not in table
        table[one.id, one.date] = table.pop((one.id, one.instead_of))
    for row in compared.new:
        assert row[:2] not in table
        table[row[:2]] = row.popularity


def expected(observations: list[Popularity]) -> dict[tuple[str, datetime], int]:
    """Of each track, day and value the earliest; of one moment the largest, the others behind."""
    earliest: dict[tuple[str, date, int], datetime] = {}
    for id_, moment, value in sorted(observations, reverse=True):
        earliest[id_, moment.date(), value] = moment
    largest: dict[tuple[str, datetime], int] = {}
    for (id_, _, value), moment in sorted(earliest.items()):
        largest[id_, moment] = max(value, largest.get((id_, moment), 0))
    places = {}
    for (id_, _, value), moment in earliest.items():
        behind = 0 if value == largest[id_, moment] else 100 - value
        places[id_, moment + timedelta(microseconds=behind)] = value
    return places


@given(observations=OBSERVATIONS, data=st.data())
def test_order_and_batches(observations: list[Popularity], data: st.DataObject) -> None:
    """The same rows, however they were loaded, and no more when all are loaded again."""
    for _ in range(2):
        left = data.draw(st.permutations(observations))
        table: dict[tuple[str, datetime], int] = {}
        while left:
            size = data.draw(st.integers(1, len(left)))
            load(table, left[:size])
            left = left[size:]
        assert table == expected(observations)
        load(table, observations)
        assert table == expected(observations)


def test_track_is_known_when_all_its_observations_are() -> None:
    """An earlier observation is new."""
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
    assert earlier == ([], [Moved("a", at - MINUTE, at)], [], set())


def test_two_values_at_one_moment() -> None:
    """The larger has the row of that moment, whichever was there; the other one follows it."""
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    six, five = Popularity("a", at, 6), Popularity("a", at, 5)
    behind = five._replace(date=at + timedelta(microseconds=95))
    assert compare([five, six], []).new == [six, behind]
    assert compare([five], [six]) == ([behind], [], [], set())
    assert compare([six], [five]) == ([six], [Moved("a", behind.date, at)], [], set())
    assert compare([six, five], [six, behind]).known == {"a"}


def test_row_that_an_earlier_one_leaves_behind() -> None:
    """Rows of a value that stand there twice are left, and no other takes their place."""
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    twice = [Popularity("a", at, 5), Popularity("a", at + MINUTE, 5)]
    compared = compare([Popularity("a", at + MINUTE, 6)], twice)
    place = at + MINUTE + timedelta(microseconds=94)
    assert compared == ([Popularity("a", place, 6)], [], [], set())
