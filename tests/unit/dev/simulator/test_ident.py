"""Ids look like Spotify's and can be decoded to their index."""

from hypothesis import given
from hypothesis import strategies as st

from songswap.dev.simulator.ident import Ids, is_well_formed

TRACKS = Ids(1, "track")


@given(st.integers(0, 2**64 - 1))
def test_index_comes_back_from_its_id(index: int) -> None:
    """Every index has a well-formed id, which is decoded to that index."""
    ident = TRACKS.of(index)
    assert is_well_formed(ident)
    assert TRACKS.index(ident) == index


@given(
    st.text(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=22, max_size=22
    )
)
def test_foreign_id_is_unknown(ident: str) -> None:
    """An id that was not made here has no index."""
    assert TRACKS.index(ident) is None


def test_kinds_and_seeds_do_not_share_ids() -> None:
    """An index has another id for another kind and for another seed."""
    assert TRACKS.index(Ids(1, "artist").of(7)) is None
    assert TRACKS.index(Ids(2, "track").of(7)) is None


def test_malformed_id_is_unknown() -> None:
    """A text that is no id has no index."""
    assert [TRACKS.index(text) for text in ("", "short", "x" * 23, "-" * 22, "é" * 22)] == [
        None
    ] * 5
