"""Joined parts are a valid gzip file."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from songswap.dev.simulator.gzip_join import compressed, joined, stored


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=500)), min_size=1))
def test_joined_parts_unpack_to_the_joined_bytes(pieces: list[tuple[bool, bytes]]) -> None:
    """Compressed and stored parts may come in any order."""
    parts = [compressed(raw) if squeezed else stored(raw) for squeezed, raw in pieces]
    body, packed = joined(parts)
    assert body == b"".join(raw for _, raw in pieces)
    assert gzip.decompress(packed) == body


def test_stored_part_may_be_longer_than_a_block() -> None:
    """Over 65,535 bytes take several blocks."""
    body = bytes(range(256)) * 1_000
    assert gzip.decompress(joined([stored(body)])[1]) == body
