"""Reading the archive through the real gate, with the key that may only read."""

import gzip
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import obstore
import pytest
from obstore.exceptions import PermissionDeniedError
from obstore.store import S3Store
from s3_front import S3Front, Sent

from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.errors import ArchiveUnreadable, CorruptResponse
from songswap.settings import Archive
from songswap.storage import archive_reader as library_module
from songswap.storage import keys
from songswap.storage.archive_reader import (
    ArchiveReader,
    Damaged,
    ObjectRef,
    Unusable,
)
from songswap.storage.records import RawResponse

HOUR = datetime(2026, 11, 22, 8, tzinfo=UTC)
Put = Callable[..., str]


@pytest.fixture
def where(objects: ObjectStore, bucket: str) -> Archive:
    """The bucket as the key `reader` opens it."""
    return Archive(bucket, objects.url, REGION, "reader", objects.access.secrets["reader"])


@pytest.fixture
def admin(objects: ObjectStore, bucket: str) -> S3Store:
    """The bucket as somebody opens it who may do everything."""
    return S3Store(
        bucket,
        endpoint=objects.url,
        region=REGION,
        access_key_id="admin",
        secret_access_key=objects.access.secrets["admin"],
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )


@pytest.fixture
def put(admin: S3Store) -> Put:
    """Puts an answer; gives its key."""

    def put(
        user: int,
        at: datetime,
        body: bytes = b"{}",
        *,
        packed: bytes | None = None,
        observed_at: str | None = "",
        under: str = "",
    ) -> str:
        where = under or keys.for_hour(user, at)
        text = at.isoformat(timespec="milliseconds") if observed_at == "" else observed_at
        attributes = {"observed-at": text} if text is not None else {}
        obstore.put(admin, where, packed or gzip.compress(body), attributes=attributes)
        return where

    return put


def test_users_and_hours(where: Archive, put: Put) -> None:
    """Users come in the order of their ids, hours in that of time, each within its bounds."""
    library = ArchiveReader(where)
    assert library.users() == []
    hours = [HOUR + timedelta(hours=n) for n in (-20, 0, 1, 16, 400)]
    for user in (10, 9, 2):
        for hour in reversed(hours):
            put(user, hour + timedelta(minutes=user))
    beside = keys.beside(keys.for_hour(9, HOUR), b"more")
    put(9, HOUR + timedelta(minutes=1), under=beside)
    assert library.users() == [2, 9, 10]
    assert [response.hour for response in library.responses(2)] == hours
    assert [response.hour for response in library.responses(9)] == sorted([*hours, HOUR])
    assert {response.key for response in library.responses(9, HOUR, hours[2])} == {
        keys.for_hour(9, HOUR),
        beside,
    }
    assert [response.hour for response in library.responses(10, hours[1], hours[4])] == hours[1:4]
    assert [
        response.hour for response in library.responses(10, HOUR + timedelta(hours=2))
    ] == hours[3:]
    assert list(library.responses(1)) == []
    assert library.foreign.total() == 0


def test_responses_come_hour_by_hour_in_parts(
    where: Archive, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No part divides a user's hour."""
    monkeypatch.setattr(library_module, "_PART_SIZE", 3)
    for user in (1, 2, 3):
        for hour in range(3):
            put(user, HOUR + timedelta(hours=hour), b"%d %d" % (user, hour))
    at = HOUR + timedelta(minutes=1)
    put(3, at, b"3 0 again", under=keys.beside(keys.for_hour(3, HOUR), b"3 0 again"))
    library = ArchiveReader(where)
    parts = [
        [one.body.decode() for one in part if isinstance(one, RawResponse)]
        for part in library.read_all(
            library.responses_of([1, 2, 3], until=HOUR + timedelta(hours=2))
        )
    ]
    assert [sorted(part) for part in parts] == [
        ["1 0", "2 0", "3 0", "3 0 again"],
        ["1 1", "2 1", "3 1"],
    ]
    assert list(library.read_all(library.responses_of([4]))) == []


def put_export(put: Put, user: int, number: int = 0) -> str:
    """Put an export's rows; return their key."""
    folder = keys.folder(user, keys.EXPORTS)
    return put(user, HOUR, under=f"{folder}user{user}_extended_{number:016x}.json")


def listings(front: S3Front, where: Archive) -> int:
    """How many requests for a listing have come."""
    return sum(sent.path.strip("/") == where.bucket for sent in front.seen)


def test_users_are_listed_together(where: Archive, put: Put) -> None:
    """Far away, a listing is a wait: those of several users are sent before the first has come.
    Here each waits for as many others as there are users."""
    users = range(1, 5)
    for user in users:
        put(user, HOUR)
    together = threading.Barrier(len(users), timeout=60)

    def wait_for_the_others(sent: Sent) -> None:
        if sent.path.strip("/") == where.bucket:
            together.wait()

    with S3Front(str(where.endpoint_url), wait_for_the_others) as front:
        reader = ArchiveReader(replace(where, endpoint_url=front.url))
        assert [ref.user_id for ref in reader.responses_of(users)] == [*users]


def test_users_without_exports_cost_no_request(where: Archive, put: Put) -> None:
    """The exports of many users are listed with one request, those of nobody else are left out."""
    for user in (2, 30, 299, 3000):
        put_export(put, user)
    for users, expected in ((range(20, 120), [30]), (range(4, 7), []), ([9999], [])):
        with S3Front(str(where.endpoint_url)) as front:
            reader = ArchiveReader(replace(where, endpoint_url=front.url))
            assert [user for user, _ in reader.export_sizes(users)] == expected
            assert listings(front, where) == 1, expected


def test_exports_of_any_users_are_found(
    where: Archive, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is between them in the order of keys, and however little a request lists."""
    numbers = {1: 3, 10: 1, 100: 2, 11: 1, 2: 5, 20: 1}
    exports = {
        user: [put_export(put, user, number) for number in range(count)]
        for user, count in numbers.items()
    }
    put(1, HOUR, under=f"{keys.folder(10, keys.EXPORTS)}notes.txt")
    reader = ArchiveReader(where)
    for most in (1, 2, 1000):
        monkeypatch.setattr(library_module, "_LISTED_AT_ONCE", most)
        for count in (1, 2, 4):
            for users in combinations([1, 10, 100, 11, 12, 2, 20, 3], count):
                found = reader.export_sizes(users)
                assert {user: [key for key, _ in sizes] for user, sizes in found} == {
                    user: exports[user] for user in users if user in exports
                }
    assert set(reader.foreign) == {keys.EXPORTS}


LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"""
LISTED = """<Contents><Key>{key}</Key><LastModified>2026-11-22T08:00:00.000Z</LastModified>
<Size>1</Size></Contents>"""


def test_bucket_without_an_order_is_refused(where: Archive) -> None:
    """Hours would be loaded in a wrong order, and exports be missed: nothing is read."""
    hours = [keys.for_hour(1, HOUR - timedelta(hours=number)) for number in range(2)]
    exports = [f"{keys.folder(1, keys.EXPORTS)}user1_extended_{n:016x}.json" for n in (2, 1)]

    def reply(sent: Sent) -> tuple[int, bytes]:
        listed = exports if "export" in sent.query else hours
        contents = "".join(LISTED.format(key=key) for key in listed)
        return 200, LISTING.format(contents=contents).encode()

    with S3Front(str(where.endpoint_url), reply) as front:
        reader = ArchiveReader(replace(where, endpoint_url=front.url))
        with pytest.raises(ArchiveUnreadable, match="does not list its keys in their order"):
            list(reader.responses(1))
        with pytest.raises(ArchiveUnreadable, match="does not list its keys in their order"):
            reader.export_sizes([1])


def test_more_than_a_listing_holds(where: Archive, put: Put) -> None:
    """A user with more answers than S3 lists at once (1,000) has all of them."""
    hours = [HOUR + timedelta(hours=number) for number in range(1010)]
    for hour in hours:
        put(3, hour)
    assert [response.hour for response in ArchiveReader(where).responses(3)] == hours


def test_foreign_keys_are_counted(where: Archive, put: Put) -> None:
    """What is not an answer of a user is left alone, and told."""
    ours = put(1, HOUR)
    for foreign in ("user1/notes.json", "user1/deep/down.json", "user1x/a.json", "a.json"):
        put(1, HOUR, under=keys.PREFIX + foreign)
    put(1, HOUR, under="history/elsewhere/a.json")
    library = ArchiveReader(where)
    assert library.users() == [1]
    assert [response.key for response in library.responses(1)] == [ours]
    assert library.foreign.total() == 4


def test_damaged_object_is_reported_and_costs_only_itself(
    where: Archive, put: Put, admin: S3Store
) -> None:
    """Every other response comes with its body and time."""
    at = HOUR + timedelta(minutes=7, milliseconds=250)
    good = put(1, at, b'{"items": []}')
    zoned = put(2, at, observed_at="2026-11-22T09:07:00.250+01:00")
    nothing = put(3, at, observed_at=None)
    nonsense = put(4, at, observed_at="at eight")
    zoneless = put(5, at, observed_at="2026-11-22T08:07:00")
    elsewhen = put(6, at, observed_at="2026-11-22T09:00:00+00:00")
    gone = put(7, at)
    torn = put(8, at, packed=gzip.compress(b"{}" * 100)[:-9])
    plain = put(9, at, packed=b'{"items": []}')
    found = [response for user in range(1, 10) for response in ArchiveReader(where).responses(user)]
    obstore.delete(admin, gone)
    given = {one.key: one for one in ArchiveReader(where).read(found)}
    assert given[good] == RawResponse(1, good, at, given[good].packed)  # type: ignore[union-attr]
    whole = given[good]
    assert isinstance(whole, RawResponse)
    assert whole.body == b'{"items": []}'
    other = given[zoned]
    assert isinstance(other, RawResponse)
    assert (other.observed_at, other.observed_at.tzinfo) == (at, UTC)
    for damaged, says in (
        (nonsense, "not of its hour"),
        (zoneless, "not of its hour"),
        (elsewhen, "not of its hour"),
        (gone, "deleted meanwhile"),
    ):
        one = given[damaged]
        assert isinstance(one, Damaged)
        assert says in one.problem
    assert given[nothing] == Unusable(nothing, "has no plays")
    for broken in (torn, plain):
        one = given[broken]
        assert isinstance(one, RawResponse)
        with pytest.raises(CorruptResponse, match="not a whole gzip file"):
            _ = one.body


def test_reader_key_reads_only_below_history(
    where: Archive, put: Put, objects: ObjectStore
) -> None:
    """Without its rights the message names the connection."""
    there = put(1, HOUR)
    reader = ArchiveReader(where)._store
    with pytest.raises(PermissionDeniedError):
        obstore.put(reader, there, b"{}")
    with pytest.raises(PermissionDeniedError):
        obstore.delete(reader, there)
    with pytest.raises(PermissionDeniedError):
        obstore.get(reader, "tests/file")
    pipeline = replace(
        where, access_key_id="pipeline", secret_access_key=objects.access.secrets["pipeline"]
    )
    found = ObjectRef(there, 1, HOUR, 1)
    for attempt in (
        ArchiveReader(pipeline).users,
        lambda: list(ArchiveReader(pipeline).responses(1)),
        lambda: ArchiveReader(pipeline).read([found]),
    ):
        with pytest.raises(ArchiveUnreadable, match="SongSwap_S3_ReadOnly"):
            attempt()
