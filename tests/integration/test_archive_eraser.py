"""Erasing a user's objects: in a bucket with versions (moto), and without (the demo's endpoint)."""

import asyncio
import base64
import hashlib
import itertools
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import astuple, replace
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

import boto3  # type: ignore[import-untyped]  # it has no types
import obstore
import pytest
from moto_s3 import MotoS3, allow
from s3_front import Reply, S3Front, Sent, refusal

from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.errors import ArchiveNotErased
from songswap.settings import Archive
from songswap.storage import keys
from songswap.storage.archive_eraser import ArchiveEraser, Removed
from songswap.storage.s3 import open_store

NOTHING = Removed(0, 0, 0)
_numbers = itertools.count(1)


def response(user: int, name: object) -> str:
    """A key below a user's responses."""
    return f"{keys.folder(user)}{name}"


def export(user: int, name: object) -> str:
    """A key below a user's exports."""
    return f"{keys.folder(user, keys.EXPORTS)}{name}"


@pytest.fixture
def versioned(moto: MotoS3) -> Archive:
    """A fresh bucket that keeps versions."""
    return moto.bucket(f"versioned-{next(_numbers)}", "Enabled")


def put(moto: MotoS3, where: Archive, *paths: str, body: bytes = b"12345") -> None:
    """Put objects of five bytes."""
    for path in paths:
        moto.s3.put_object(Bucket=where.bucket, Key=path, Body=body)


def put_many(where: Archive, paths: Iterable[str]) -> None:
    """Put objects of five bytes, some at a time."""
    store, turns = open_store(where), asyncio.Semaphore(8)

    async def put_one(path: str) -> None:
        async with turns:
            await obstore.put_async(store, path, b"12345")

    async def put_all() -> None:
        await asyncio.gather(*map(put_one, paths))

    asyncio.run(put_all())


def hide(moto: MotoS3, where: Archive, paths: list[str]) -> None:
    """Delete objects as everybody does: in a bucket with versions it sets markers."""
    for batch in (paths[start : start + 1000] for start in range(0, len(paths), 1000)):
        named = [{"Key": path} for path in batch]
        moto.s3.delete_objects(Bucket=where.bucket, Delete={"Objects": named})


def set_versioning(moto: MotoS3, where: Archive, state: str) -> None:
    """Have a bucket keep versions, or not any longer."""
    moto.s3.put_bucket_versioning(Bucket=where.bucket, VersioningConfiguration={"Status": state})


Others = Callable[[Archive], Callable[[], set[tuple[str, str]]]]


@pytest.fixture
def others(moto: MotoS3) -> Others:
    """Puts objects that are not user 1's, though nearly; returns what lists all of them."""

    def make(where: Archive) -> Callable[[], set[tuple[str, str]]]:
        for user in (0, 10, 17, 21):
            put(moto, where, response(user, "a"), response(user, "b"), export(user, "a"))
        hide(moto, where, [response(17, "a")])
        put(moto, where, "history/spotify/user1.json", "history/spotify/xuser1/a", "user1/a")
        return lambda: {entry for entry in listed(moto, where) if not entry[0].startswith(OWN)}

    return make


def listed(moto: MotoS3, where: Archive) -> set[tuple[str, str]]:
    """The keys and versions of a bucket, with its markers."""
    pages = moto.s3.get_paginator("list_object_versions").paginate(Bucket=where.bucket)
    return {
        (item["Key"], item["VersionId"])
        for page in pages
        for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
    }


OWN = (response(1, ""), export(1, ""))
A, B, C = response(1, "a"), response(1, "b"), export(1, "c")


def erase_all(where: Archive, expected: Removed) -> None:
    """Erase user 1, of whom there is this much; a second time there is nothing."""
    eraser = ArchiveEraser(where)
    assert eraser.count(1) == expected
    assert eraser.erase(1) == expected
    assert eraser.count(1) == eraser.erase(1) == NOTHING


def test_versions_and_markers(moto: MotoS3, versioned: Archive, others: Others) -> None:
    """Nothing of the user stays, in either prefix, and all of the others."""
    rest = others(versioned)
    before = rest()
    put(moto, versioned, A, A, A, B, B, C)
    hide(moto, versioned, [A])
    erase_all(versioned, Removed(objects=3, versions=4, bytes=30))
    assert rest() == before


def test_versions_without_a_name(moto: MotoS3, others: Others) -> None:
    """What was put before the bucket kept versions is the version `null`, and goes too."""
    where = moto.bucket(f"later-{next(_numbers)}")
    put(moto, where, A, C)
    set_versioning(moto, where, "Enabled")
    rest = others(where)
    before = rest()
    put(moto, where, A, A, B)
    hide(moto, where, [A])
    erase_all(where, Removed(objects=3, versions=3, bytes=25))
    assert rest() == before


def test_bucket_that_keeps_versions_no_longer(moto: MotoS3, others: Others) -> None:
    """Versions from before go, and what was put since, which has no name."""
    where = moto.bucket(f"suspended-{next(_numbers)}", "Enabled")
    rest = others(where)
    put(moto, where, A, B)
    set_versioning(moto, where, "Suspended")
    put(moto, where, C)
    before = rest()
    erase_all(where, Removed(objects=3, versions=0, bytes=15))
    assert rest() == before


def test_bucket_without_versions(moto: MotoS3, others: Others) -> None:
    """The endpoint knows versions, so that nothing is in doubt."""
    where = moto.bucket(f"plain-{next(_numbers)}")
    rest = others(where)
    before = rest()
    put(moto, where, A, B, B, C)
    erase_all(where, Removed(objects=3, versions=0, bytes=15))
    assert rest() == before


_KILLED = """
import os, signal, sys
from songswap.settings import Archive
from songswap.storage.archive_eraser import ArchiveEraser
where = Archive(*sys.argv[1:])
ArchiveEraser(where).erase(1, lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_killed_in_the_middle_and_run_again(
    moto: MotoS3, versioned: Archive, others: Others
) -> None:
    """2,500 objects with 500 older versions and 2,000 markers take several listings and requests.
    What a killed erasure removed is gone, and the next one removes the rest."""
    rest = others(versioned)
    before = rest()
    paths = [response(1, number) for number in range(2500)]
    put_many(versioned, paths)
    put_many(versioned, paths[1000:1500])
    hide(moto, versioned, paths[:2000])
    eraser = ArchiveEraser(versioned)
    given = [str(part) for part in astuple(versioned)[:5]]
    killed = subprocess.run([sys.executable, "-c", _KILLED, *given], check=False)  # noqa: S603
    assert killed.returncode == -signal.SIGKILL
    left = eraser.count(1)
    assert left.objects + left.versions == 4000  # of 3,000 versions and 2,000 markers
    progress: list[int] = []
    assert eraser.erase(1, progress.append) == left
    assert progress == [1000, 2000, 3000, 4000]
    assert rest() == before


def test_nothing_hidden_appears_meanwhile(moto: MotoS3, versioned: Archive) -> None:
    """Older versions go before newer ones, and all of them before the markers that hide them."""
    put(moto, versioned, A, A, A)
    hide(moto, versioned, [A])
    before = moto.s3.list_object_versions(Bucket=versioned.bucket)
    newest_first = [item["VersionId"] for item in before["Versions"]]
    (marker,) = (item["VersionId"] for item in before["DeleteMarkers"])
    with S3Front(str(versioned.endpoint_url)) as front:
        ArchiveEraser(through(front, versioned)).erase(1)
    (deletion,) = (sent for sent in front.seen if sent.method == "POST")
    sent = re.findall(r"<VersionId>(.*?)</VersionId>", deletion.body.decode())
    assert sent == [*reversed(newest_first), marker]


def through(front: S3Front, where: Archive) -> Archive:
    """The bucket behind a front."""
    return replace(where, endpoint_url=front.url)


ODD = ["a b+%&<>\"'é.json", "x//y", "./d", "tail/", " ", "%2e%2e", "ü" * 60]


def test_odd_keys_in_a_bucket_with_versions(moto: MotoS3, versioned: Archive) -> None:
    put(moto, versioned, *(response(1, name) for name in [*ODD, *ODD]))
    erase_all(versioned, Removed(len(ODD), len(ODD), 10 * len(ODD)))


def held(moto: MotoS3, where: Archive, path: str, status: str) -> None:
    """Put an object's newest version on legal hold, or release it."""
    moto.s3.put_object_legal_hold(Bucket=where.bucket, Key=path, LegalHold={"Status": status})


def test_refusal_of_single_versions(moto: MotoS3) -> None:
    """S3 responds with 200, and the refusal of one version inside: the others are removed and
    counted, the error says how many are left and why; once it is released, the rest goes."""
    name = f"locked-{next(_numbers)}"
    where = moto.bucket(name, ObjectLockEnabledForBucket=True)
    put(moto, where, A, A, B, C)
    held(moto, where, A, "ON")
    with pytest.raises(ArchiveNotErased) as failed:
        ArchiveEraser(where).erase(1)
    assert failed.value.removed == Removed(3, 0, 15)
    for words in (
        "objects of user 1 left: 1 objects and versions are there",
        "refused with AccessDenied (1)",
        "Object Lock",
        "3 objects and versions were removed now",
        f"bucket {name}",
    ):
        assert words in str(failed.value)
    assert ArchiveEraser(where).count(1) == Removed(1, 0, 5)
    held(moto, where, A, "OFF")
    erase_all(where, Removed(1, 0, 5))


LISTS = ("s3:ListBucket", "s3:ListBucketVersions")


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        (("s3:DeleteObject", "s3:ListBucket"), "ListObjectVersions: AccessDenied (status 403)"),
        (("s3:DeleteObject", "s3:ListBucketVersions"), "ListObjectsV2: AccessDenied (status 403)"),
        (LISTS, "4 objects and versions are there; it refused with AccessDenied (4)"),
    ],
)
def test_missing_right(own_moto: MotoS3, allowed: tuple[str, ...], said: str) -> None:
    """It is an error, not an empty bucket or one without versions; nothing is removed."""
    where = own_moto.bucket("limited", "Enabled")
    put(own_moto, where, A, A, B, C)
    key, secret = own_moto.limit(allow(*allowed))
    eraser = ArchiveEraser(replace(where, access_key_id=key, secret_access_key=secret))
    with pytest.raises(ArchiveNotErased) as failed:
        eraser.erase(1)
    assert said in str(failed.value)
    assert secret not in str(failed.value)
    assert failed.value.removed == NOTHING
    assert len(listed(own_moto, where)) == 4


@pytest.fixture
def own(own_objects: ObjectStore) -> Archive:
    """The bucket of the demo's endpoint, which knows no versions, with the key `eraser`."""
    return Archive("own", own_objects.url, REGION, "eraser", own_objects.access.secrets["eraser"])


def put_there(own_objects: ObjectStore, *paths: str) -> None:
    """Put objects of five bytes at the demo's endpoint, also under keys that obstore refuses."""
    client = boto3.Session().client(
        "s3",
        endpoint_url=own_objects.url,
        region_name=REGION,
        aws_access_key_id="admin",
        aws_secret_access_key=own_objects.access.secrets["admin"],
    )
    for path in paths:
        client.put_object(Bucket="own", Key=path, Body=b"12345")


def test_endpoint_that_lists_no_versions(own_objects: ObjectStore, own: Archive) -> None:
    """It lists current objects when asked for versions: these are removed, and the result says of
    how many the other versions are unknown. A key that may list and delete there suffices."""
    folder = own_objects.objects / "own" / response(1, "")
    folder.mkdir(parents=True)
    for number in range(1100):
        (folder / str(number)).write_bytes(b"12345")
    put_there(own_objects, C, response(17, "a"), response(17, "b"))
    erase_all(own, Removed(1101, 0, 5505, unlisted=1101))
    assert ArchiveEraser(own).count(17) == Removed(2, 0, 10, unlisted=2)


@pytest.mark.parametrize("status", [501, 405])
def test_endpoint_that_refuses_to_list_versions(
    own_objects: ObjectStore, own: Archive, status: int
) -> None:
    """What it does not implement is no error, unlike what it does not allow."""
    put_there(own_objects, A, C)
    code = {501: "NotImplemented", 405: "MethodNotAllowed"}[status]

    def refuse(sent: Sent) -> Reply:
        return (status, refusal(code)) if "versions" in sent.query else None

    with S3Front(own_objects.url, refuse) as front:
        assert ArchiveEraser(through(front, own)).erase(1) == Removed(2, 0, 10, unlisted=2)


@pytest.mark.parametrize("name", ["ctl\x01\x1f", "cr\rlf\n", "\ufffe", "\x85"])
def test_key_that_no_document_carries(own_objects: ObjectStore, own: Archive, name: str) -> None:
    """It is deleted by a request of its own, with the key in the address, and its version."""
    path = quote(response(1, name))
    version = f"<Version><Key>{path}</Key><VersionId>v/1</VersionId><Size>5</Size></Version>"

    def reply(sent: Sent) -> Reply:
        if sent.method == "DELETE":
            return 204, b""
        there = "versions" in sent.query and OWN[0] in unquote(sent.query)
        gone = any(earlier.method == "DELETE" for earlier in front.seen)
        found = version if there and not gone else ""
        kind = "ListVersionsResult" if "versions" in sent.query else "ListBucketResult"
        return 200, f"<{kind}><EncodingType>url</EncodingType>{found}</{kind}>".encode()

    with S3Front(own_objects.url, reply) as front:
        assert ArchiveEraser(through(front, own)).erase(1) == Removed(1, 0, 5)
    (deletion,) = (sent for sent in front.seen if sent.method != "GET")
    assert unquote(deletion.path) == f"/own/{response(1, name)}"
    assert parse_qs(deletion.query)["versionId"] == ["v/1"]


def test_key_without_rights(own_objects: ObjectStore, own: Archive) -> None:
    """The keys that may only put, or only read, erase nothing."""
    put_there(own_objects, A)
    for name in ("pipeline", "reader"):
        secret = own_objects.access.secrets[name]
        where = replace(own, access_key_id=name, secret_access_key=secret)
        with pytest.raises(ArchiveNotErased, match="AccessDenied"):
            ArchiveEraser(where).erase(1)
    assert ArchiveEraser(own).count(1).objects == 1


def errors(*paths: str, code: str = "") -> bytes:
    """S3's response to a deletion of which these objects were refused."""
    each = "".join(
        f"<Error><Key>{path}</Key><Code>{code}</Code><Message>hush</Message></Error>"
        for path in paths
    )
    return f"<DeleteResult>{each}</DeleteResult>".encode()


@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
def test_refusal_of_a_moment(own_objects: ObjectStore, own: Archive, code: str) -> None:
    """What S3 refuses within a response with status 200 is tried again, and counted once."""
    put_there(own_objects, A, B)
    replies = iter([(200, errors(A, B, code=code))])

    def refuse_once(sent: Sent) -> Reply:
        return next(replies, None) if sent.method == "POST" else None

    with S3Front(own_objects.url, refuse_once) as front:
        assert ArchiveEraser(through(front, own)).erase(1) == Removed(2, 0, 10, unlisted=2)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (errors(A, code="SlowDown"), r"2 objects .* are there; it refused with SlowDown \(1\)"),
        (errors(A, B, code="a b"), r"refused with no code of S3 \(2\)"),
        (errors(), "2 objects and versions are there; it reported no refusal"),
        (errors(A, B, code="NoSuchKey"), "it reported no refusal"),
        (b"<html>", r"DeleteObjects: 500 \(status 500\)"),
    ],
    ids=["one refused", "bad code", "silent", "said to be gone", "no document"],
)
def test_lasting_refusal(own_objects: ObjectStore, own: Archive, body: bytes, said: str) -> None:
    """A server that keeps objects is found out by the last listing, whatever it said."""
    put_there(own_objects, A, B)
    with (
        S3Front(own_objects.url, lambda sent: (200, body) if sent.method == "POST" else None) as it,
        pytest.raises(ArchiveNotErased, match=said) as failed,
    ):
        ArchiveEraser(through(it, own)).erase(1)
    assert "hush" not in str(failed.value)
    assert ArchiveEraser(own).count(1).objects == 2


def test_listing_of_others_deletes_nothing(own_objects: ObjectStore, own: Archive) -> None:
    """A server that ignores the prefix must not cost another user's objects."""
    put_there(own_objects, A, response(17, "a"))
    listing = f"<ListBucketResult><Contents><Key>{response(17, 'a')}</Key></Contents>"
    body = f"{listing}</ListBucketResult>".encode()
    with (
        S3Front(own_objects.url, lambda sent: (200, body) if sent.method == "GET" else None) as it,
        pytest.raises(ArchiveNotErased, match="not asked for"),
    ):
        ArchiveEraser(through(it, own)).erase(1)
    assert not [sent for sent in it.seen if sent.method != "GET"]


def test_digest_that_every_server_takes(own_objects: ObjectStore, own: Archive) -> None:
    """Servers that know nothing of newer checksums demand the MD5 of what is to be deleted."""
    put_there(own_objects, A)
    with S3Front(own_objects.url) as front:
        ArchiveEraser(through(front, own)).erase(1)
    (deletion,) = (sent for sent in front.seen if sent.method == "POST")
    digest = hashlib.md5(deletion.body, usedforsecurity=False).digest()
    assert deletion.headers["content-md5"] == base64.b64encode(digest).decode()
    assert not [name for name in deletion.headers if "checksum" in name]


def test_unknown_certificate_is_refused_unless_named_or_unverified(
    own_objects: ObjectStore, own: Archive, certificate: Path
) -> None:
    """As the pipeline's own client does."""
    put_there(own_objects, A)
    with S3Front(own_objects.url, certificate=certificate) as front:
        where = through(front, own)
        with pytest.raises(ArchiveNotErased) as failed:
            ArchiveEraser(where).erase(1)
        assert front.url not in str(failed.value)
        assert ArchiveEraser(replace(where, verify=False)).count(1).objects == 1
        trusted = replace(where, root_certificate=certificate.read_bytes())
        assert ArchiveEraser(trusted).erase(1).objects == 1


def test_key_of_the_connection_alone(
    own_objects: ObjectStore, own: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No session token and no proxy of the environment is added to the connection."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another key")
    for scheme in ("HTTP", "HTTPS", "ALL"):
        monkeypatch.setenv(f"{scheme}_PROXY", "http://127.0.0.1:9")
    with S3Front(own_objects.url) as front:
        ArchiveEraser(through(front, own)).count(1)
        ArchiveEraser(replace(through(front, own), session_token="its-own")).count(1)
    tokens = [sent.headers.get("x-amz-security-token") for sent in front.seen]
    assert tokens == [None] * 4 + ["its-own"] * 4


def test_signed_request_is_not_quoted(own_objects: ObjectStore, own: Archive) -> None:
    """S3 responds to a wrong signature with the request that was signed, tokens included."""
    document = b"<Error><Code>SignatureDoesNotMatch</Code><Message>hush</Message></Error>"
    with (
        S3Front(own_objects.url, lambda _: (403, document)) as front,
        pytest.raises(ArchiveNotErased, match="SignatureDoesNotMatch") as failed,
    ):
        ArchiveEraser(through(front, own)).count(1)
    assert "hush" not in "".join(traceback.format_exception(failed.value))


def test_server_that_is_away(own_objects: ObjectStore, own: Archive) -> None:
    """The error says that something may be left, and neither the address nor the key."""
    own_objects.stop()
    with pytest.raises(ArchiveNotErased, match="may have objects of user 1 left") as failed:
        ArchiveEraser(own).erase(1)
    text = "".join(traceback.format_exception(failed.value))
    assert str(own.endpoint_url) not in text
    assert str(own.secret_access_key) not in text
