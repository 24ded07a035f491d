"""The check that the local disk holds responses until they are safe: a spool in its own folder.

The folder is inside that of the real spool: the same disk, with the same rights.
"""

import json
import logging
import shutil
from datetime import datetime
from pathlib import Path

from songswap.checks.acceptance.expectation import expect
from songswap.errors import SpoolError
from songswap.storage.records import RawResponse, pack
from songswap.storage.spool import Spool

log = logging.getLogger(__name__)

_FOLDER = "test_file_utils"
_RUN = "test_file_utils"
_AT = datetime.fromisoformat("2026-11-02T04:30:00.250Z")
_MODULE = "songswap/storage/spool.py"

# File, the list in it, and how many entries it has.
_FILES = (
    ("user_spotify.json", "items", 5),
    ("tracks_spotify.json", "tracks", 3),
    ("artists_spotify.json", "artists", 3),
    ("features_spotify.json", "audio_features", 3),
)


def check_files(folder: Path) -> None:
    """Check that the data files in ``folder`` are JSON in the shape of Spotify's responses.

    Raises:
        AcceptanceFailed: a file has another shape.
        OSError: a file cannot be read.
    """
    for name, entries, count in _FILES:
        response = json.loads((folder / name).read_bytes())
        expect(f"The entries of {name}", count, len(response[entries]), f"dags/tests/data/{name}")


def store(spool: Path, folder: Path) -> None:
    """Store the data files as responses in a spool within the folder ``spool``.

    Raises:
        AcceptanceFailed: others than their owner may read the spool's files.
        SpoolError: the disk did not take them.
    """
    responses = [
        RawResponse(0, name, _AT, pack((folder / name).read_bytes())) for name, *_ in _FILES
    ]
    with Spool(spool / _FOLDER) as opened:
        opened.add(_RUN, 0, responses)
        modes = {f"{file.stat().st_mode & 0o777:o}" for file in opened.path.parent.iterdir()}
    expect("The modes of the spool's files", {"600"}, modes, _MODULE)


def read(spool: Path, folder: Path) -> None:
    """Open the spool again and check that each response is unchanged and waits for S3 and the load.

    Raises:
        AcceptanceFailed: a response is missing or differs.
        SpoolError: the disk did not return them.
    """
    expected = [(0, name, _AT, (folder / name).read_bytes()) for name, *_ in _FILES]
    with Spool(spool / _FOLDER) as opened:
        for waiting in (opened.batch(_RUN, 0), opened.not_loaded(0, 9), opened.not_archived(0, 9)):
            found = [(item.user_id, item.key, item.observed_at, item.body) for item in waiting]
            expect("Responses in the spool, opened by another task", expected, found, _MODULE)


def finish(spool: Path) -> None:
    """Mark the responses as archived, then as loaded: only then do they leave the spool.

    Raises:
        AcceptanceFailed: they left too early, or stay.
        SpoolError: the disk failed.
    """
    with Spool(spool / _FOLDER) as opened:
        responses = opened.batch(_RUN, 0)
        opened.mark_archived({response.id: response.key for response in responses})
        expect("Waiting for S3 and the warehouse, archived", (0, 4), opened.waiting(), _MODULE)
        opened.mark_loaded([response.id for response in responses])
        expect("Waiting for S3 and the warehouse, loaded too", (0, 0), opened.waiting(), _MODULE)
        expect("Responses of the batch, in the end", [], opened.batch(_RUN, 0), _MODULE)


def remove(spool: Path) -> None:
    """Remove the folder of this test, or of one that was killed.

    Raises:
        SpoolError: the disk failed.
    """
    try:
        if (spool / _FOLDER).exists():
            shutil.rmtree(spool / _FOLDER)
    except OSError as error:
        raise SpoolError(
            f"The folder {spool / _FOLDER} of the test cannot be removed: {error}. Free or repair"
            " the disk, then remove it."
        ) from error
    log.info("Nothing of the test is left in %s.", spool)
