"""The data files of the test DAGs, and the rows that are expected of them."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from songswap.checks.acceptance import artist, features, history, spool, track
from songswap.checks.acceptance.load import LoadProof

DATA = Path(__file__).parents[4] / "dags/tests/data"
PROOFS = [history.PROOF, track.PROOF, artist.PROOF, features.PROOF]


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.data)
def test_the_transform_gives_what_is_written_out(proof: LoadProof[Any]) -> None:
    """Each file becomes exactly the rows of its proof, and no note."""
    proof.check_transform(DATA)
    assert not {"data_fixes", "incomplete"} & {*proof.both, *proof.told, *proof.stored}


def test_files_have_the_shape_of_answers() -> None:
    """Each file has the list, and as many entries in it, that its check counts."""
    spool.check_files(DATA)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.data)
def test_no_id_can_be_real(proof: LoadProof[Any]) -> None:
    """Every id in the data is one that Spotify cannot give, and stands in no other proof."""
    told = re.findall(r'"id": "([^"]*)"', (DATA / proof.data).read_text())
    ids = {*proof.sample.tracks, *proof.sample.artists}
    assert told
    for one in {*told, *ids}:
        assert re.fullmatch("SongSwapTest[0-9A-Za-z]{10}", one)
    assert {one for one in told if "Album" not in one} <= ids


def test_no_id_is_shared() -> None:
    """Proofs that run at once have no row in common."""
    for one, other in combinations([proof.sample for proof in PROOFS], 2):
        assert not {*one.tracks, *one.artists} & {*other.tracks, *other.artists}
