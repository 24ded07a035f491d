"""`songswap check s3` finds out what a server and the pipeline's key may and may not do."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain, product
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store
from s3_front import S3Front, Sent, refusal

from songswap.checks.sanity.context import CheckContext, from_environment
from songswap.checks.sanity.run import CHECKS, StepResult, run_check, run_step
from songswap.clock import utc_now
from songswap.dev.stack.access import Access, Grant, platform_access
from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.errors import CheckFailed

Start = Callable[..., ObjectStore]
DOCUMENT = Path(__file__).parents[2] / "docs/deployment.md"
KEYS = {"S3_PUTONLY": "pipeline", "S3_TESTPUTGETDELETE": "tests"}


def context_at(store: ObjectStore, url: str = "") -> CheckContext:
    """Return the settings for a server's bucket `own`; ``url`` is another address of the server."""
    extra = {"endpoint_url": url or store.url, "region_name": REGION}
    environment = {
        f"AIRFLOW_CONN_SONGSWAP_{name}": json.dumps(
            {"login": key, "password": store.access.secrets[key], "extra": extra}
        )
        for name, key in KEYS.items()
    }
    return from_environment(environment | {"AIRFLOW_VAR_BUCKET_NAME": "own"}, "a run", utc_now)


def check(context: CheckContext) -> dict[str, StepResult]:
    """Run the check and return the result of each step by its name."""
    return {result.step: result for result in run_check(CHECKS["s3"], context)}


def left(store: ObjectStore) -> list[str]:
    """The objects in the bucket."""
    bucket = store.objects / "own"
    return sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*.txt") if path.is_file())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start S3 endpoints whose keys have other grants than the platform's."""
    started: list[ObjectStore] = []

    def start(**grants: list[Grant]) -> ObjectStore:
        usual = platform_access()
        kept = [grant for grant in usual.grants if grant.access_key not in grants]
        access = Access(usual.secrets, (*kept, *chain.from_iterable(grants.values())))
        started.append(ObjectStore(tmp_path / f"s3-{len(started)}", 0, access, buckets=("own",)))
        started[-1].start()
        return started[-1]

    yield start
    for store in started:
        store.stop()


def test_platforms_grants_pass(own_objects: ObjectStore) -> None:
    """All steps pass without a warning, and no object is left."""
    results = check(context_at(own_objects))
    assert {result.ok for result in results.values()} == {True}
    assert "was not overwritten" in results["conditional"].message
    assert results["rights"].message == (
        "The key of SongSwap_S3_PutOnly may put below history/spotify/ and history/export/, and"
        " nothing else."
    )
    assert left(own_objects) == []


def test_server_that_ignores_if_none_match_fails(own_objects: ObjectStore) -> None:
    """The message says what would be lost, and what to do."""
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
        results = check(context_at(own_objects, front.url))
    assert [step for step, result in results.items() if result.ok is False] == ["conditional"]
    message = results["conditional"].message
    for words in ("If-None-Match", "overwrites", "raw response be lost in silence", "What to do"):
        assert words in message
    assert (results["read"].ok, results["delete"].ok, results["rights"].ok) == (None, True, None)
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
def test_server_without_conditional_puts_fails(
    own_objects: ObjectStore, status: int, code: str, said: str
) -> None:
    """A server may refuse a conditional put, or respond with another status than 412."""

    def refuse(sent: Sent) -> tuple[int, bytes] | None:
        is_conditional = sent.method == "PUT" and "if-none-match" in sent.headers
        return (status, refusal(code) if code else b"") if is_conditional else None

    with S3Front(own_objects.url, refuse) as front:
        context = context_at(own_objects, front.url)
        run_step("s3", "put", context)
        with pytest.raises(CheckFailed, match=said):
            run_step("s3", "conditional", context)


def test_key_without_the_right_to_put_exports_fails(start: Start) -> None:
    """The message names the missing right; the platform's own policy may be this narrow."""
    store = start(pipeline=[Grant("pipeline", ("PUT",), ("history/spotify/user",))])
    results = check(context_at(store))
    assert [step for step, result in results.items() if result.ok is False] == ["rights"]
    message = results["rights"].message
    for words in (
        "let the pipeline's key put history/export/user0/songswap-check.txt (AccessDenied)",
        "s3:PutObject on own/history/spotify/user* and own/history/export/user*",
        "docs/deployment.md",
        "SongSwap_S3_PutOnly",
    ):
        assert words in message
    assert left(store) == []


def test_key_for_all_of_history_passes(start: Start) -> None:
    """The contract allows all of history/: the message says so, without a warning."""
    store = start(pipeline=[Grant("pipeline", ("PUT",), ("history/",))])
    message = check(context_at(store))["rights"].message
    assert message.endswith("may put below history/, all of it, and nothing else.")
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
def test_excess_rights_of_the_key_are_a_warning(
    start: Start, methods: tuple[str, ...], prefixes: tuple[str, ...], named: list[str]
) -> None:
    """The warning names each of them; no object is left."""
    store = start(pipeline=[Grant("pipeline", methods, prefixes)])
    rights = check(context_at(store))["rights"]
    assert rights.ok
    assert rights.message.startswith("Warning: The key of SongSwap_S3_PutOnly")
    more = rights.message.partition("may also ")[2]
    assert [name in more for name in named] == [True] * len(named)
    every = ("PUT below", "GET what", "LIST the", "DELETE what")
    assert sum(name in more for name in every) == len(named)
    assert left(store) == []


def test_object_that_cannot_be_deleted_is_named(start: Start) -> None:
    """It does not break the next run."""
    grants = [Grant("tests", ("PUT", "GET", "DELETE"), ("tests/", "history/spotify/user0/"))]
    store = start(tests=grants)
    for _ in range(2):
        message = check(context_at(store))["rights"].message
        assert "history/export/user0/songswap-check.txt stays there" in message
    assert left(store) == ["history/export/user0/songswap-check.txt"]


def documented() -> dict[str, list[Grant]]:
    """Return the grants of the policies in the document, by key."""
    section = DOCUMENT.read_text().partition("## The keys of the archive")[2].partition("\n## ")[0]
    found = re.findall(r"`(SongSwap_S3_\w+)`.*?```json\n(.*?)```", section, re.DOTALL)
    grants: dict[str, list[Grant]] = {}
    for (name, text), key in zip(found, ("pipeline", "tests", "reader"), strict=True):
        policy = json.loads(text)
        assert policy["Version"] == "2012-10-17"
        statements = policy["Statement"]
        grants[key] = [grant for each in statements for grant in of_statement(each, key)]
        assert name == {"pipeline": "SongSwap_S3_PutOnly", "reader": "SongSwap_S3_ReadOnly"}.get(
            key, "SongSwap_S3_TestPutGetDelete"
        )
    return grants


def of_statement(statement: dict[str, Any], key: str) -> Iterator[Grant]:
    """Translate a statement for the embedded endpoint."""
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


def test_documented_policies_pass(start: Start) -> None:
    """The policies of docs/deployment.md pass without a warning, and are those of the platform."""
    grants = documented()
    store = start(**grants)
    results = check(context_at(store))
    assert {result.ok for result in results.values()} == {True}
    assert results["rights"].message.endswith("and nothing else.")
    assert left(store) == []
    usual = {grant.access_key: grant for grant in platform_access().grants}
    for key, documented_grants in grants.items():
        rights = chain.from_iterable(product(g.methods, g.prefixes) for g in documented_grants)
        assert set(rights) == set(product(usual[key].methods, usual[key].prefixes))
