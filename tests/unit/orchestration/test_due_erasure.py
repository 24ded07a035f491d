"""What the daily tasks around erasing leave when a part of them fails."""

from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace

import pytest

from songswap.alerts.notices import Notice
from songswap.errors import ArchiveUnreadable, RunFailed
from songswap.orchestration import due_erasure


def test_notice_of_what_was_removed_outlives_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 fails for the second user: the first one is not found again, nor is it tried again."""
    left: list[Notice] = []

    def removed(_: object) -> Iterator[SimpleNamespace]:
        receipt = SimpleNamespace(is_complete=True)
        yield SimpleNamespace(user_id=7, objects=2, ended_on=date(2026, 11, 27), receipt=receipt)
        raise ArchiveUnreadable("S3 does not list them.")

    monkeypatch.setattr(due_erasure, "read_settings", lambda: None)
    monkeypatch.setattr(due_erasure, "log_receipt", lambda _: None)
    monkeypatch.setattr(due_erasure, "remove_returned", removed)
    monkeypatch.setattr(due_erasure, "add_notices", left.extend)
    with pytest.raises(RunFailed, match="S3 does not list") as failed:
        due_erasure.look_after()
    assert failed.value.causes == (("ArchiveUnreadable", "S3 does not list them."),)
    (notice,) = left
    assert notice.sentence.startswith("2 objects of user 7 were in S3 again")
