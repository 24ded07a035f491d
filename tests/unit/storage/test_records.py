"""Bodies as gzip files: back as they came, and never more than fits."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.storage.records import pack, unpack


@given(st.binary(max_size=2000))
def test_packed_body_unpacks_to_itself(body: bytes) -> None:
    """Also one that is exactly as large as is allowed."""
    assert unpack(pack(body)) == body
    assert unpack(pack(body), len(body)) == body


@given(st.binary(min_size=1, max_size=500), st.data())
def test_cut_record_is_refused(body: bytes, data: st.DataObject) -> None:
    packed = pack(body)
    with pytest.raises(ValueError, match="not a whole gzip file"):
        unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])


def test_bomb_is_not_unpacked_to_its_end() -> None:
    bomb = gzip.compress(bytes(200 * 2**20), 1)
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than 16 MiB"):
        unpack(bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 64 * 2**20
