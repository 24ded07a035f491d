"""What S3 says to a conditional put, and what it proves."""

import asyncio
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from factories import MakePlatform
from s3_front import S3Front, Sent, refusal

from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.errors import ArchiveError, ArchiveUnreadable, RunFailed
from songswap.settings import Archive as Where
from songswap.storage import archive as archive_module
from songswap.storage import keys as key
from songswap.storage.archive import Archive
from songswap.storage.archive_reader import ArchiveReader
from songswap.storage.records import RawExport, RawResponse, pack
from songswap.storage.spool import Spool

AT = datetime(2026, 11, 22, 8, 7, tzinfo=UTC)
CONFLICTS = [
    (409, refusal("ConditionalRequestConflict")),
    (409, refusal("OperationAborted")),
    (409, b""),
    (304, b""),
]
"""Answers that S3 and servers like it give without an object being there."""


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts are sent again at once."""
    monkeypatch.setattr(archive_module, "_CONFLICT_WAITS_S", (0, 0, 0))


def answer(body: bytes = b'{"items": []}') -> RawResponse:
    """An answer of user 1."""
    return RawResponse(1, key.for_hour(1, AT), AT, pack(body), id=1)


def through(front: S3Front, store: ObjectStore) -> Where:
    """The bucket `own` of an endpoint behind a front, as the pipeline opens it."""
    return Where("own", front.url, REGION, "pipeline", store.access.secrets["pipeline"])


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("conflict", CONFLICTS)
def test_conflicting_put_is_repeated_under_its_key(
    own_objects: ObjectStore, conflict: tuple[int, bytes]
) -> None:
    """Another request for the key was under way."""
    conflicts = iter([conflict, conflict])
    with S3Front(own_objects.url, lambda _: next(conflicts, None)) as front:
        kept = answer()
        assert asyncio.run(Archive(through(front, own_objects)).put(kept)) == kept.key
    assert [sent.path for sent in front.seen] == [f"/own/{kept.key}"] * 3
    assert (own_objects.objects / "own" / kept.key).read_bytes() == kept.packed


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("conflict", CONFLICTS)
def test_conflict_is_no_object(own_objects: ObjectStore, conflict: tuple[int, bytes]) -> None:
    """What meets only conflicts is not archived, neither an answer nor the rows of an export."""
    with S3Front(own_objects.url, lambda _: conflict) as front:
        archive = Archive(through(front, own_objects))
        export = RawExport(1, key.for_export(1, "extended", b"[]"), "extended", AT, pack(b"[]"))
        for put in (archive.put(answer()), archive.put_export(export)):
            with pytest.raises(ArchiveError, match=f"returned {conflict[0]} to a conditional put"):
                asyncio.run(put)
        outcome = asyncio.run(archive.put_all([answer()]))
    assert outcome.archived == {}
    assert list(outcome.problems) == [1]


def test_412_is_an_object(own_objects: ObjectStore) -> None:
    """Only 412 has an answer put beside another; there, 412 says that it lies there already."""
    with S3Front(own_objects.url) as front:
        archive = Archive(through(front, own_objects))
        keys = [asyncio.run(archive.put(answer(body))) for body in (b"1", b"2", b"2")]
    assert keys[0] == key.for_hour(1, AT)
    assert keys[1] == keys[2] == key.beside(keys[0], b"2")


@pytest.mark.usefixtures("no_waits")
def test_responses_wait_in_the_spool_during_conflicts(
    make_platform: MakePlatform, own_objects: ObjectStore
) -> None:
    """An hour of conflicts in S3 loses none; the next run archives them."""
    platform = make_platform(users=3)
    platform.use(own_objects)

    def conflict(sent: Sent) -> tuple[int, bytes] | None:
        return CONFLICTS[0] if sent.method == "PUT" else None

    with S3Front(own_objects.url, conflict) as front:
        archive = replace(platform.settings.archive, endpoint_url=front.url)
        platform.settings = replace(platform.settings, archive=archive)
        with pytest.raises(RunFailed, match="SongSwap_S3_PutOnly"):
            platform.load()
        assert platform.history() == platform.reachable()
        with Spool(platform.settings.spool) as spool:
            assert spool.waiting() == (3, 0)
        front.reply = lambda _: None
        assert platform.load()["retried_archived"] == 3
    with Spool(platform.settings.spool) as spool:
        assert spool.waiting() == (0, 0)
    assert len(list(own_objects.objects.glob("own/history/**/*.json"))) >= 3


def test_unknown_certificate_is_refused_unless_named_or_unverified(
    own_objects: ObjectStore, certificate: Path
) -> None:
    kept = answer()
    with S3Front(own_objects.url, certificate=certificate) as front:
        where = through(front, own_objects)
        with pytest.raises(ArchiveError, match="did not take"):
            asyncio.run(Archive(where).put(kept))
        trusted = replace(where, root_certificate=certificate.read_bytes())
        assert asyncio.run(Archive(trusted).put(kept)) == kept.key
        any_of_them = replace(where, verify=False)
        assert asyncio.run(Archive(any_of_them).put(kept)) != kept.key


def test_signed_request_is_not_quoted(own_objects: ObjectStore) -> None:
    """S3 answers a wrong signature with the request that was signed, tokens included."""
    token = "x-amz-security-token:hush"
    document = f"<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>{token}\nPUT"
    with S3Front(own_objects.url, lambda _: (403, document.encode())) as front:
        where = through(front, own_objects)
        for refused in (
            lambda: asyncio.run(Archive(where).put(answer())),
            lambda: ArchiveReader(where).users(),
            lambda: list(ArchiveReader(where).responses(1)),
        ):
            with pytest.raises((ArchiveError, ArchiveUnreadable)) as error:
                refused()
            assert "403 Forbidden: SignatureDoesNotMatch" in str(error.value)
            assert "hush" not in "".join(traceback.format_exception(error.value))


def test_key_of_the_connection_alone(
    own_objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's token in the environment, of another key, is not added to the connection's."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another key")
    with S3Front(own_objects.url) as front:
        asyncio.run(Archive(through(front, own_objects)).put(answer()))
        own = replace(through(front, own_objects), session_token="its-own")
        asyncio.run(Archive(own).put(answer(b"2")))
    tokens = [sent.headers.get("x-amz-security-token") for sent in front.seen]
    assert tokens == [None, "its-own", "its-own"]
