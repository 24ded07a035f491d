"""Does `songswap check` find out what a server and the pipeline's key must, and must not, do?"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store
from s3_front import S3Front, Sent, refusal

from songswap.checks.sanity.given import Given, from_environment
from songswap.checks.sanity.run import CHECKS, Seen, run_check, run_step
from songswap.clock import utc_now
from songswap.dev.stack.access import Access, Grant, platform_access
from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.errors import CheckFailed

Start = Callable[..., ObjectStore]
DOCUMENT = Path(__file__).parents[2] / "docs/deployment.md"
KEYS = {"S3_PUTONLY": "pipeline", "S3_TESTPUTGETDELETE": "tests"}


def given_at(store: ObjectStore, url: str = "") -> Given:
    """What a check is told of a server's bucket `own`, which may be reached at another address."""
    extra = {"endpoint_url": url or store.url, "region_name": REGION}
    environment = {
        f"AIRFLOW_CONN_SONGSWAP_{name}": json.dumps(
            {"login": key, "password": store.access.secrets[key], "extra": extra}
        )
        for name, key in KEYS.items()
    }
    return from_environment(environment | {"AIRFLOW_VAR_BUCKET_NAME": "own"}, "a run", utc_now)


def check(given: Given) -> dict[str, Seen]:
    """What each step of the check saw."""
    return {seen.step: seen for seen in run_check(CHECKS["s3"], given)}


def left(store: ObjectStore) -> list[str]:
    """The objects in the bucket."""
    bucket = store.objects / "own"
    return sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*.txt") if path.is_file())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts S3 endpoints whose keys have other grants than the platform's."""
    started: list[ObjectStore] = []

    def start(**grants: list[Grant]) -> ObjectStore:
        usual = platform_access()
        kept = [one for one in usual.grants if one.access_key not in grants]
        access = Access(usual.secrets, (*kept, *(one for of in grants.values() for one in of)))
        started.append(ObjectStore(tmp_path / f"s3-{len(started)}", 0, access, buckets=("own",)))
        started[-1].start()
        return started[-1]

    yield start
    for store in started:
        store.stop()


def test_all_well(own_objects: ObjectStore) -> None:
    """With the platform's grants all steps are green, nothing is warned of and nothing is left."""
    seen = check(given_at(own_objects))
    assert {one.ok for one in seen.values()} == {True}
    assert "was not overwritten" in seen["conditional"].told
    assert seen["rights"].told == (
        "The key of SongSwap_S3_PutOnly may put below history/spotify/ and history/export/, and"
        " nothing else."
    )
    assert left(own_objects) == []


def test_server_that_overwrites(own_objects: ObjectStore) -> None:
    """Where If-None-Match is ignored the check is red, with the consequence and what to do."""
    admin = S3Store(
        "own",
        endpoint=own_objects.url,
        region=REGION,
        access_key_id="admin",
        secret_access_key=own_objects.access.secrets["admin"],
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )

    def forget(sent: Sent) -> None:
        if sent.method == "PUT" and "if-none-match" in sent.headers:
            obstore.delete(admin, sent.path.removeprefix("/own/"))

    with S3Front(own_objects.url, forget) as front:
        seen = check(given_at(own_objects, front.url))
    assert [step for step, one in seen.items() if one.ok is False] == ["conditional"]
    told = seen["conditional"].told
    for words in ("If-None-Match", "overwrites", "raw answer be lost in silence", "What to do"):
        assert words in told
    assert (seen["read"].ok, seen["delete"].ok, seen["rights"].ok) == (None, True, None)
    assert left(own_objects) == []


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (501, "NotImplemented", "without which nothing is archived, .NotImplemented.* supports"),
        (409, "ConditionalRequestConflict", "with 409, where only 412"),
        (304, "", "with 304, where only 412"),
        (400, "InvalidArgument", "without which nothing is archived, .InvalidArgument"),
    ],
)
def test_server_without_conditional_puts(
    own_objects: ObjectStore, status: int, code: str, said: str
) -> None:
    """A server that refuses a conditional put, or answers it in another way, is told too."""

    def refuse(sent: Sent) -> tuple[int, bytes] | None:
        is_meant = sent.method == "PUT" and "if-none-match" in sent.headers
        return (status, refusal(code) if code else b"") if is_meant else None

    with S3Front(own_objects.url, refuse) as front:
        given = given_at(own_objects, front.url)
        run_step("s3", "put", given)
        with pytest.raises(CheckFailed, match=said):
            run_step("s3", "conditional", given)


def test_narrow_key(start: Start) -> None:
    """A key that may put answers and no exports, as the platform's policy may be, is told."""
    store = start(pipeline=[Grant("pipeline", ("PUT",), ("history/spotify/user",))])
    seen = check(given_at(store))
    assert [step for step, one in seen.items() if one.ok is False] == ["rights"]
    told = seen["rights"].told
    for words in (
        "let the pipeline's key put history/export/user0/songswap-check.txt (AccessDenied)",
        "s3:PutObject on own/history/spotify/user* and own/history/export/user*",
        "docs/deployment.md",
        "SongSwap_S3_PutOnly",
    ):
        assert words in told
    assert left(store) == []


def test_wide_key(start: Start) -> None:
    """All of history/ is in the contract; it is said, and is no warning."""
    store = start(pipeline=[Grant("pipeline", ("PUT",), ("history/",))])
    told = check(given_at(store))["rights"].told
    assert told.endswith("may put below history/, all of it, and nothing else.")
    assert left(store) == []


@pytest.mark.parametrize(
    ("methods", "prefixes", "named"),
    [
        (("PUT",), ("",), ["PUT below another prefix (tests/sanity/)"]),
        (("PUT", "GET"), ("history/",), ["GET what it has put", "LIST the bucket"]),
        (("PUT", "DELETE"), ("history/",), ["DELETE what it has put"]),
        (
            ("PUT", "GET", "DELETE"),
            ("",),
            ["PUT below another prefix", "GET what", "LIST the bucket", "DELETE what"],
        ),
    ],
)
def test_key_that_may_too_much(
    start: Start, methods: tuple[str, ...], prefixes: tuple[str, ...], named: list[str]
) -> None:
    """What it must not be able to do is a warning that names it; nothing is left over."""
    store = start(pipeline=[Grant("pipeline", methods, prefixes)])
    rights = check(given_at(store))["rights"]
    assert rights.ok
    assert rights.told.startswith("Warning: The key of SongSwap_S3_PutOnly")
    more = rights.told.partition("may also ")[2]
    assert [name in more for name in named] == [True] * len(named)
    every = ("PUT below", "GET what", "LIST the", "DELETE what")
    assert sum(name in more for name in every) == len(named)
    assert left(store) == []


def test_tests_key_that_may_not_delete(start: Start) -> None:
    """What cannot be taken away again is named; the next run is not in its way."""
    grants = [Grant("tests", ("PUT", "GET", "DELETE"), ("tests/", "history/spotify/user0/"))]
    store = start(tests=grants)
    for _ in range(2):
        told = check(given_at(store))["rights"].told
        assert "history/export/user0/songswap-check.txt stays there" in told
    assert left(store) == ["history/export/user0/songswap-check.txt"]


def documented() -> dict[str, list[Grant]]:
    """The grants that the policies in the document give, by the key's connection."""
    section = DOCUMENT.read_text().partition("## The keys of the archive")[2].partition("\n## ")[0]
    found = re.findall(r"`(SongSwap_S3_\w+)`.*?```json\n(.*?)```", section, re.DOTALL)
    grants: dict[str, list[Grant]] = {}
    for (name, text), key in zip(found, ("pipeline", "tests", "reader"), strict=True):
        policy = json.loads(text)
        assert policy["Version"] == "2012-10-17"
        grants[key] = [grant for one in policy["Statement"] for grant in of_statement(one, key)]
        assert name == {"pipeline": "SongSwap_S3_PutOnly", "reader": "SongSwap_S3_ReadOnly"}.get(
            key, "SongSwap_S3_TestPutGetDelete"
        )
    return grants


def of_statement(statement: dict[str, Any], key: str) -> Iterator[Grant]:
    """A statement as the embedded endpoint has it."""
    assert statement["Effect"] == "Allow"
    actions = statement["Action"]
    methods = [action.removeprefix("s3:").removesuffix("Object").upper() for action in actions]
    arns = [arn.removeprefix("arn:aws:s3:::BUCKET") for arn in statement["Resource"]]
    if actions == ["s3:ListBucket"]:
        assert arns == [""]
        methods, arns = (
            ["GET"],
            [f"/{p}" for p in statement["Condition"]["StringLike"]["s3:prefix"]],
        )
    prefixes = [arn.removeprefix("/").removesuffix("*") for arn in arns]
    yield Grant(key, tuple(methods), tuple(prefixes))


def test_documented_policies(start: Start) -> None:
    """With the policies of docs/deployment.md, all is green and nothing is warned of or left."""
    grants = documented()
    store = start(**grants)
    seen = check(given_at(store))
    assert {one.ok for one in seen.values()} == {True}
    assert seen["rights"].told.endswith("and nothing else.")
    assert left(store) == []
    usual = {one.access_key: one for one in platform_access().grants}
    for key, given in grants.items():
        assert {
            (method, prefix) for one in given for method in one.methods for prefix in one.prefixes
        } == {(method, prefix) for method in usual[key].methods for prefix in usual[key].prefixes}
