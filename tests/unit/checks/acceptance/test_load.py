"""The data files of the test DAGs, and the rows that are expected of them."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from songswap.checks.acceptance import artist, features, history, spool, track
from songswap.checks.acceptance.load import LoadCheck

DATA = Path(__file__).parents[4] / "dags/tests/data"
CHECKS: list[LoadCheck[Any]] = [history.CHECK, track.CHECK, artist.CHECK, features.CHECK]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.file)
def test_file_becomes_the_expected_rows(check: LoadCheck[Any]) -> None:
    """No note is expected, and no incomplete track."""
    check.check_transform(DATA)
    assert not {"data_fixes", "incomplete"} & {*check.common, *check.transformed, *check.stored}


def test_files_have_the_shape_of_responses() -> None:
    """Each file has its list, with as many entries as the check of the spool expects."""
    spool.check_files(DATA)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.file)
def test_no_id_can_be_real(check: LoadCheck[Any]) -> None:
    """Spotify assigns none of the ids in the data, and the sample has all but those of albums."""
    found = re.findall(r'"id": "([^"]*)"', (DATA / check.file).read_text())
    ids = {*check.sample.tracks, *check.sample.artists}
    assert found
    for id_ in {*found, *ids}:
        assert re.fullmatch("SongSwapTest[0-9A-Za-z]{10}", id_)
    assert {id_ for id_ in found if "Album" not in id_} <= ids


def test_no_id_is_shared() -> None:
    """Checks that run at the same time have no row in common."""
    for first, second in combinations([check.sample for check in CHECKS], 2):
        assert not {*first.tracks, *first.artists} & {*second.tracks, *second.artists}
