"""`songswap check s3` finds out what a server and the pipeline's key may and may not do."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, product
from pathlib import Path
from typing import Any

import obstore
import pytest
from moto_s3 import MotoS3, allow
from obstore.store import S3Store
from s3_front import S3Front, Sent, refusal

from songswap.checks.sanity.context import CheckContext, from_environment
from songswap.checks.sanity.run import CHECKS, StepResult, run_check, run_step
from songswap.clock import utc_now
from songswap.dev.stack.access import Access, Grant, platform_access
from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.errors import CheckFailed
from songswap.settings import Archive

Start = Callable[..., ObjectStore]
DOCUMENT = Path(__file__).parents[2] / "docs/deployment.md"
KEYS = {"S3_PUTONLY": "pipeline", "S3_TESTPUTGETDELETE": "tests", "S3_ERASE": "eraser"}


def context_at(store: ObjectStore, url: str = "", **more: str) -> CheckContext:
    """Return the settings for a server's bucket `own`; ``url`` is another address of the server."""
    extra = {"endpoint_url": url or store.url, "region_name": REGION}
    environment = {
        f"AIRFLOW_CONN_SONGSWAP_{name}": json.dumps(
            {"login": key, "password": store.access.secrets[key], "extra": extra}
        )
        for name, key in KEYS.items()
    }
    environment |= {"AIRFLOW_VAR_BUCKET_NAME": "own", **more}
    return from_environment(environment, "a run", utc_now)


def check(context: CheckContext) -> dict[str, StepResult]:
    """Run the check and return the result of each step by its name."""
    return {result.step: result for result in run_check(CHECKS["s3"], context)}


def left(store: ObjectStore) -> list[str]:
    """The objects in the bucket."""
    bucket = store.objects / "own"
    return sorted(
        str(path.relative_to(bucket)) for path in bucket.glob("[!.]*/**/*") if path.is_file()
    )


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
    assert results["erasing"].message == (
        "The key of SongSwap_S3_Erase may list and delete users' objects, though the server lists"
        " no older versions, and nothing else."
    )
    assert "knows no lifecycle policies" in results["expiry"].message
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
    names = {
        "SongSwap_S3_PutOnly": "pipeline",
        "SongSwap_S3_TestPutGetDelete": "tests",
        "SongSwap_S3_ReadOnly": "reader",
        "SongSwap_S3_Erase": "eraser",
    }
    for name, text in found:
        key = names.pop(name)
        policy = json.loads(text)
        assert policy["Version"] == "2012-10-17"
        statements = policy["Statement"]
        grants[key] = [grant for each in statements for grant in of_statement(each, key)]
    assert not names
    return grants


METHODS = {
    "s3:PutObject": "PUT",
    "s3:GetObject": "GET",
    "s3:DeleteObject": "DELETE",
    "s3:DeleteObjectVersion": "DELETE",
    "s3:ListBucket": "LIST",
    "s3:ListBucketVersions": "LIST",
}


def of_statement(statement: dict[str, Any], key: str) -> Iterator[Grant]:
    """Translate a statement for the embedded endpoint."""
    assert statement["Effect"] == "Allow"
    actions = statement["Action"]
    if actions == ["s3:GetLifecycleConfiguration"]:
        return  # the endpoint has none
    methods = [METHODS[action] for action in actions]
    arns = [arn.removeprefix("arn:aws:s3:::BUCKET") for arn in statement["Resource"]]
    if set(methods) == {"LIST"}:
        assert arns == [""]
        arns = [f"/{prefix}" for prefix in statement["Condition"]["StringLike"]["s3:prefix"]]
    prefixes = [arn.removeprefix("/").removesuffix("*") for arn in arns]
    yield Grant(key, tuple(methods), tuple(prefixes))


def test_documented_policies_pass(start: Start) -> None:
    """The policies of docs/deployment.md pass without a warning, and are those of the platform."""
    grants = documented()
    store = start(**grants)
    results = check(context_at(store))
    assert {result.ok for result in results.values()} == {True}
    for step in ("rights", "erasing"):
        assert results[step].message.endswith("and nothing else.")
    assert left(store) == []
    usual = {grant.access_key: grant for grant in platform_access().grants}
    for key, documented_grants in grants.items():
        rights = chain.from_iterable(product(g.methods, g.prefixes) for g in documented_grants)
        assert set(rights) == set(product(usual[key].methods, usual[key].prefixes))


@pytest.mark.parametrize(
    ("methods", "prefixes", "named"),
    [
        (("LIST", "DELETE", "PUT"), ("history/",), ["PUT"]),
        (("LIST", "DELETE", "GET"), ("history/",), ["GET"]),
        (("LIST", "DELETE"), ("",), ["LIST below another prefix", "DELETE below another prefix"]),
    ],
)
def test_excess_rights_of_the_key_that_erases_are_a_warning(
    start: Start, methods: tuple[str, ...], prefixes: tuple[str, ...], named: list[str]
) -> None:
    """It must not read what it deletes, nor delete what is no user's."""
    store = start(eraser=[Grant("eraser", methods, prefixes)])
    result = check(context_at(store))["erasing"]
    assert result.ok
    assert result.message.startswith("Warning: The key of SongSwap_S3_Erase may list and delete")
    assert result.message.partition("may also ")[2].partition(". Take")[0].split(", ") == named
    assert left(store) == []


@pytest.mark.parametrize(
    ("methods", "prefix", "named"),
    [
        (("DELETE",), "history/", "history/spotify/user0/"),
        (("LIST",), "history/", "history/spotify/user0/"),
        (("LIST", "DELETE"), "history/spotify/user", "history/export/user0/"),
    ],
)
def test_missing_right_of_the_key_that_erases(
    start: Start, methods: tuple[str, ...], prefix: str, named: str
) -> None:
    """The message has the object, S3's code, and where the key's policy is."""
    store = start(eraser=[Grant("eraser", methods, (prefix,))])
    result = check(context_at(store))["erasing"]
    assert result.ok is False
    for words in (named, "AccessDenied", "SongSwap_S3_Erase", "The keys of the archive"):
        assert words in result.message
    assert left(store) == []


def test_without_a_key_that_erases(own_objects: ObjectStore) -> None:
    """It is not needed for anything else, so that nothing is red; but a promise to delete is."""
    unset = {"AIRFLOW_CONN_SONGSWAP_S3_ERASE": ""}
    results = check(context_at(own_objects, **unset))
    assert {result.ok for result in results.values()} == {True}
    for step in ("erasing", "expiry"):
        assert results[step].message.startswith("Not checked: SongSwap_S3_Erase is not set")
    context = context_at(own_objects, **unset, SONGSWAP_KEEP_RAW_DAYS="30")
    with pytest.raises(CheckFailed, match="is unknown"):
        run_step("s3", "expiry", context)


def test_server_without_lifecycle_policies(own_objects: ObjectStore) -> None:
    """It keeps all; it may say so (501), or respond with a listing."""
    listing = b"<ListBucketResult></ListBucketResult>"

    def list_objects(sent: Sent) -> tuple[int, bytes] | None:
        return (200, listing) if "lifecycle" in sent.query else None

    with S3Front(own_objects.url, list_objects) as front:
        for url in (own_objects.url, front.url):
            assert "knows no lifecycle policies" in run_step(
                "s3", "expiry", context_at(own_objects, url)
            )
            context = context_at(own_objects, url, SONGSWAP_KEEP_RAW_DAYS="30")
            with pytest.raises(CheckFailed, match="knows no lifecycle policies: it keeps all"):
                run_step("s3", "expiry", context)


def lifecycle_documents() -> list[dict[str, Any]]:
    """The rules of docs/deployment.md: the whole policy's, and that for exports."""
    section = DOCUMENT.read_text().partition("### Raw responses expire")[2].partition("\n## ")[0]
    policy, exports = map(json.loads, re.findall(r"```json\n(.*?)```", section, re.DOTALL))
    return [*policy["Rules"], exports]


def context_at_moto(moto: MotoS3, where: Archive, **more: str) -> CheckContext:
    """The settings for a bucket at an endpoint that knows lifecycle policies."""
    connection = {
        "login": where.access_key_id,
        "password": where.secret_access_key,
        "extra": {"endpoint_url": moto.url, "region_name": REGION},
    }
    environment = {"AIRFLOW_CONN_SONGSWAP_S3_ERASE": json.dumps(connection)}
    environment |= {"AIRFLOW_VAR_BUCKET_NAME": where.bucket, **more}
    return from_environment(environment, "a run", utc_now)


def set_policy(moto: MotoS3, where: Archive, *rules: dict[str, Any]) -> None:
    """Set the bucket's lifecycle policy."""
    moto.s3.put_bucket_lifecycle_configuration(
        Bucket=where.bucket, LifecycleConfiguration={"Rules": list(rules)}
    )


def test_policy_of_the_document(moto: MotoS3) -> None:
    """With the setting beside it the check passes; without the setting it is red."""
    where = moto.bucket("expiring")
    raw, exports = lifecycle_documents()
    unset = context_at_moto(moto, where)
    days = {"SONGSWAP_KEEP_RAW_DAYS": str(raw["Expiration"]["Days"])}
    context = context_at_moto(moto, where, **days)
    assert "are kept: no rule" in run_step("s3", "expiry", unset)
    with pytest.raises(CheckFailed, match="no rule deletes all of history/spotify/ by then"):
        run_step("s3", "expiry", context)
    set_policy(moto, where, raw)
    assert run_step("s3", "expiry", context) == (
        "Raw responses are deleted after 365 days, as SONGSWAP_KEEP_RAW_DAYS says; exports are"
        " kept."
    )
    with pytest.raises(CheckFailed, match="The bucket deletes raw data, and SONGSWAP_KEEP_RAW"):
        run_step("s3", "expiry", unset)
    set_policy(moto, where, raw, exports)
    assert run_step("s3", "expiry", context).endswith(
        "of exports, the rule 'exports' deletes all of history/export/ after 3,650 days."
    )


def test_key_that_may_not_read_the_policy(own_moto: MotoS3) -> None:
    """The message says which key, and what to allow it."""
    where = own_moto.bucket("limited")
    key, secret = own_moto.limit(allow("s3:ListBucket"))
    limited = replace(where, access_key_id=key, secret_access_key=secret)
    with pytest.raises(CheckFailed) as failed:
        run_step("s3", "expiry", context_at_moto(own_moto, limited))
    for words in (
        "GetBucketLifecycleConfiguration: AccessDenied (status 403)",
        "allow the key of SongSwap_S3_Erase s3:GetLifecycleConfiguration on the bucket",
    ):
        assert words in str(failed.value)
    key, secret = own_moto.add_key(allow("s3:GetLifecycleConfiguration"))
    limited = replace(where, access_key_id=key, secret_access_key=secret)
    assert "are kept" in run_step("s3", "expiry", context_at_moto(own_moto, limited))


def test_server_that_does_not_give_the_policy(own_objects: ObjectStore) -> None:
    """That is no policy without rules."""

    def fail(sent: Sent) -> tuple[int, bytes] | None:
        return (403, refusal("SignatureDoesNotMatch")) if "lifecycle" in sent.query else None

    with S3Front(own_objects.url, fail) as front:
        context = context_at(own_objects, front.url)
        with pytest.raises(CheckFailed, match="SignatureDoesNotMatch"):
            run_step("s3", "expiry", context)
