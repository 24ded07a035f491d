"""The proof that the local disk keeps answers until they are safe: the spool, in a folder apart.

The folder lies in that of the real spool, so it is the same disk, with the same rights.
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
    """Read the data files in ``folder`` as what they are: JSON in the shape of Spotify's answers.

    Raises:
        AcceptanceFailed: one is something else.
        OSError: one cannot be read.
    """
    for name, entries, count in _FILES:
        answer = json.loads((folder / name).read_bytes())
        expect(f"The entries of {name}", count, len(answer[entries]), f"dags/tests/data/{name}")


def keep(spool: Path, folder: Path) -> None:
    """Keep the data files as answers in a spool within the folder ``spool``, for its owner alone.

    Raises:
        AcceptanceFailed: others may read its files.
        SpoolError: the disk does not take them.
    """
    answers = [RawResponse(0, name, _AT, pack((folder / name).read_bytes())) for name, *_ in _FILES]
    with Spool(spool / _FOLDER) as kept:
        kept.add(_RUN, 0, answers)
        modes = {f"{file.stat().st_mode & 0o777:o}" for file in kept.path.parent.iterdir()}
    expect("The modes of the spool's files", {"600"}, modes, _MODULE)


def read(spool: Path, folder: Path) -> None:
    """Open the spool again and find each answer as it was kept, waiting for S3 and the warehouse.

    Raises:
        AcceptanceFailed: one is missing or another.
        SpoolError: the disk does not give them.
    """
    expected = [(0, name, _AT, (folder / name).read_bytes()) for name, *_ in _FILES]
    with Spool(spool / _FOLDER) as kept:
        for waiting in (kept.batch(_RUN, 0), kept.not_loaded(0, 9), kept.not_archived(0, 9)):
            found = [(one.user_id, one.key, one.observed_at, one.body) for one in waiting]
            expect("Answers in the spool, opened by another task", expected, found, _MODULE)


def finish(spool: Path) -> None:
    """Note the answers as archived, then as loaded: only then they leave.

    Raises:
        AcceptanceFailed: they left too early, or stay.
        SpoolError: the disk does not do it.
    """
    with Spool(spool / _FOLDER) as kept:
        answers = kept.batch(_RUN, 0)
        kept.mark_archived({one.id: one.key for one in answers})
        expect("Waiting for S3 and the warehouse, archived", (0, 4), kept.waiting(), _MODULE)
        kept.mark_loaded([one.id for one in answers])
        expect("Waiting for S3 and the warehouse, loaded too", (0, 0), kept.waiting(), _MODULE)
        expect("Answers of the batch, in the end", [], kept.batch(_RUN, 0), _MODULE)


def remove(spool: Path) -> None:
    """Remove the folder of the test, also that of a test that was killed.

    Raises:
        SpoolError: the disk does not do it.
    """
    try:
        if (spool / _FOLDER).exists():
            shutil.rmtree(spool / _FOLDER)
    except OSError as error:
        raise SpoolError(
            f"The folder {spool / _FOLDER} of the test cannot be removed: {error}. Free or mend the"
            " disk, then remove it."
        ) from error
    log.info("Nothing of the test is left in %s.", spool)
