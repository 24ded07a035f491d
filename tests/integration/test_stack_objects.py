"""The embedded S3 endpoint, seen by the client that the pipeline uses in production."""

import asyncio
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, GenericError, PermissionDeniedError
from obstore.store import S3Store

from songswap.dev.stack.access import platform_access
from songswap.dev.stack.object_store import REGION, ObjectStore

KEY = "history/spotify/user1/user1_spotify_2026-11-22_08.json"


def client(store: ObjectStore, bucket: str, access_key: str, secret: str = "") -> S3Store:
    """A client with one of the three keys."""
    return S3Store(
        bucket,
        endpoint=store.url,
        region=REGION,
        access_key_id=access_key,
        secret_access_key=secret or store.access.secrets[access_key],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


@pytest.fixture
def as_key(objects: ObjectStore, bucket: str) -> Callable[..., S3Store]:
    """Clients of a fresh bucket by access key."""
    return lambda access_key, secret="": client(objects, bucket, access_key, secret)


def test_body_encoding_and_metadata_come_back(as_key: Callable[..., S3Store]) -> None:
    """Content-Encoding, content type and user metadata are kept beside the bytes."""
    attributes = {
        "Content-Encoding": "gzip",
        "Content-Type": "application/json",
        "sha256": "0f",
    }
    obstore.put(as_key("pipeline"), KEY, b"\x1f\x8bbody", attributes=attributes)
    answer = obstore.get(as_key("admin"), KEY)
    assert bytes(answer.bytes()) == b"\x1f\x8bbody"
    assert answer.attributes == attributes


def test_a_conditional_put_never_overwrites(as_key: Callable[..., S3Store]) -> None:
    """The second put with If-None-Match gets 412 and the first body stays."""
    obstore.put(as_key("pipeline"), KEY, b"first", mode="create")
    with pytest.raises(AlreadyExistsError, match="412"):
        obstore.put(as_key("pipeline"), KEY, b"second", mode="create")
    assert bytes(obstore.get(as_key("admin"), KEY).bytes()) == b"first"


async def test_one_of_many_conditional_puts_wins(as_key: Callable[..., S3Store]) -> None:
    """Of 40 puts of one key at once, one is stored."""
    store = as_key("pipeline")
    bodies = [str(number).encode() * 5_000 for number in range(40)]
    answers = await asyncio.gather(
        *(obstore.put_async(store, KEY, body, mode="create") for body in bodies),
        return_exceptions=True,
    )
    won = [
        body
        for body, answer in zip(bodies, answers, strict=True)
        if not isinstance(answer, AlreadyExistsError)
    ]
    assert len(won) == 1
    assert bytes(obstore.get(as_key("admin"), KEY).bytes()) == won[0]


def test_a_put_that_was_killed_can_be_repeated(
    as_key: Callable[..., S3Store], objects: ObjectStore, bucket: str
) -> None:
    """Bytes whose put was never answered do not count as an object that exists."""
    rest = objects.objects / bucket / KEY
    rest.parent.mkdir(parents=True)
    rest.write_bytes(b"rest")
    obstore.put(as_key("pipeline"), KEY, b"whole", mode="create")
    assert bytes(obstore.get(as_key("admin"), KEY).bytes()) == b"whole"


def test_the_pipeline_may_only_put_below_history(as_key: Callable[..., S3Store]) -> None:
    """Putting elsewhere, reading, listing and deleting are denied."""
    pipeline = as_key("pipeline")
    obstore.put(pipeline, KEY, b"{}")
    with pytest.raises(PermissionDeniedError, match="AccessDenied"):
        obstore.put(pipeline, "other/file", b"{}")
    with pytest.raises(PermissionDeniedError):
        obstore.get(pipeline, KEY)
    with pytest.raises(PermissionDeniedError):
        obstore.delete(pipeline, KEY)
    with pytest.raises(GenericError, match="AccessDenied"):
        obstore.list(pipeline, "history/").collect()
    with pytest.raises(PermissionDeniedError):
        obstore.copy(pipeline, KEY, "history/copy")


def test_the_tests_key_does_all_within_its_prefixes(as_key: Callable[..., S3Store]) -> None:
    """Put, get, list and delete work below tests/, and nothing of the users' is in reach."""
    tests = as_key("tests")
    obstore.put(as_key("pipeline"), KEY, b"{}")
    obstore.put(tests, "tests/file", b"hello")
    assert bytes(obstore.get(tests, "tests/file").bytes()) == b"hello"
    assert [found["path"] for found in obstore.list(tests, "tests/").collect()] == ["tests/file"]
    obstore.delete(tests, "tests/file")
    assert obstore.list(tests, "tests/").collect() == []
    for forbidden in (obstore.get, obstore.delete):
        with pytest.raises(PermissionDeniedError):
            forbidden(tests, KEY)


@pytest.mark.parametrize("access_key", ["pipeline", "stranger"])
def test_a_wrong_secret_is_refused(as_key: Callable[..., S3Store], access_key: str) -> None:
    """Neither a wrong secret nor an unknown key gets anything stored."""
    with pytest.raises(PermissionDeniedError):
        obstore.put(as_key(access_key, "guess"), KEY, b"{}")
    assert obstore.list(as_key("admin")).collect() == []


def test_a_large_object_goes_in_parts(as_key: Callable[..., S3Store]) -> None:
    """A put in several parts arrives whole."""
    body = bytes(range(256)) * 50_000
    obstore.put(as_key("pipeline"), KEY, body)
    assert bytes(obstore.get(as_key("admin"), KEY).bytes()) == body


def test_objects_survive_a_kill_and_a_restart(tmp_path: Path) -> None:
    """What was answered with 200 is there after SIGKILL, at the same address."""
    store = ObjectStore(tmp_path, 0, platform_access(), buckets=("songswap",))
    store.start()
    url = store.url
    try:
        obstore.put(client(store, "songswap", "pipeline"), KEY, b"kept")
        store.process.kill()
        store.start()
        assert store.url == url
        assert bytes(obstore.get(client(store, "songswap", "admin"), KEY).bytes()) == b"kept"
        with pytest.raises(AlreadyExistsError):
            obstore.put(client(store, "songswap", "pipeline"), KEY, b"new", mode="create")
    finally:
        store.stop()


def test_full_disk_refuses_the_put_with_507(tmp_path: Path) -> None:
    """Nothing is stored."""
    store = ObjectStore(
        tmp_path, 0, platform_access(), buckets=("songswap",), keep_free_bytes=2**62
    )
    store.start()
    try:
        with pytest.raises(GenericError, match="InsufficientStorage"):
            obstore.put(client(store, "songswap", "pipeline"), KEY, b"{}")
        assert obstore.list(client(store, "songswap", "admin")).collect() == []
    finally:
        store.stop()


def asked(objects: ObjectStore, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """The status and text of an answer to a request that nobody signed."""
    connection = HTTPConnection("127.0.0.1", objects.port, timeout=60)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_pages_from_elsewhere_are_refused(objects: ObjectStore, headers: dict[str, str]) -> None:
    """403 with S3's document and a message, before the key is checked."""
    for method in ("GET", "PUT", "OPTIONS"):
        status, text = asked(objects, "/songswap/history/x", method, **headers)
        assert status == 403
        assert "<Message>Refused: " in text


def test_a_browser_is_greeted(objects: ObjectStore) -> None:
    """Its address is a page; a program without a key gets S3's error, and so do other paths."""
    status, text = asked(objects, "/", Accept="text/html,*/*;q=0.8")
    assert status == 200
    assert str(objects.objects) in text
    assert asked(objects, "/", Accept="*/*")[0] == 403
    assert asked(objects, "/songswap", Accept="text/html")[0] == 403
