"""Check that the bucket stores, returns and deletes objects: the tests' key, below `tests/`.

`s3_rights` checks what the pipeline's own key may do, `s3_erasing` that of the key which erases
users, and `s3_expiry` when the bucket itself deletes.
"""

import obstore
from obstore.exceptions import AlreadyExistsError

from songswap.checks.sanity import s3_erasing, s3_expiry, s3_rights
from songswap.checks.sanity.context import CheckContext, Step, connection_named, installed
from songswap.checks.sanity.s3_bucket import PIPELINE, TESTS, VARIABLE, Bucket, Refused
from songswap.errors import CheckFailed
from songswap.storage.s3 import status

_OVERWRITES = (
    "The server overwrites an object although the request forbids it (If-None-Match: *). The"
    " pipeline relies on that: where two responses have one key, the second would replace the"
    " first, and a raw response be lost in silence. What to do: use a server that honours it, as"
    " AWS S3 does; see the release notes of yours."
)
_NOT_412 = (
    "The server responds to a second put with If-None-Match: * with {}, where only 412 means that"
    " the object exists. No such response would count as archived: all would wait in the spool."
    " What to do: use a server that supports conditional puts, as AWS S3 does; see the release"
    " notes of yours."
)


def provider(_context: CheckContext) -> str:
    """Check that the provider of the connections' type and the pipeline's client are installed."""
    return f"Installed: {installed('apache-airflow-providers-amazon', 'obstore')}."


def connections(context: CheckContext) -> str:
    """Check that the bucket and both connections are set."""
    buckets = [Bucket(context, name) for name in (PIPELINE, TESTS)]
    return f"Set: {VARIABLE} ({buckets[0].name}), {PIPELINE}, {TESTS}."


def put(context: CheckContext) -> str:
    """Put this run's object."""
    bucket = Bucket(context, TESTS)
    with bucket.request("take an object") as store:
        obstore.put(store, bucket.key(), _body(bucket))
    return f"{bucket.key()} was stored."


def conditional(context: CheckContext) -> str:
    """Check that a conditional put does not overwrite the object."""
    bucket = Bucket(context, TESTS)
    action = "take a conditional put (If-None-Match: *), without which nothing is archived,"
    with bucket.request(action) as store:
        try:
            obstore.put(store, bucket.key(), _body(bucket), mode="create")
        except AlreadyExistsError as error:
            if status(error) != 412:
                raise CheckFailed(_NOT_412.format(status(error))) from None
            return f"{bucket.key()} was not overwritten by a conditional put."
    raise CheckFailed(_OVERWRITES)


def read(context: CheckContext) -> str:
    """Check that the object comes back unchanged."""
    bucket = Bucket(context, TESTS)
    with bucket.request("give an object back") as store:
        found = obstore.get(store, bucket.key()).bytes()
    if bytes(found) != _body(bucket):
        raise CheckFailed(
            f"{bucket.key()} came back with other bytes than were put. Look at what lies between"
            f" here and the bucket: endpoint_url in the extra of {connection_named(TESTS)}."
        )
    return f"{bucket.key()} came back unchanged."


def delete(context: CheckContext) -> str:
    """Delete the object."""
    bucket = Bucket(context, TESTS)
    with bucket.request(f"delete {bucket.key()}, which is still there,") as store:
        obstore.delete(store, bucket.key())
    return f"{bucket.key()} was deleted."


def gone(context: CheckContext) -> str:
    """Check that the deleted object is not returned."""
    bucket = Bucket(context, TESTS)
    try:
        with bucket.request("answer for a deleted object") as store:
            obstore.get(store, bucket.key())
    except Refused as refused:
        # Without the right to list, S3 answers AccessDenied for an object that does not exist.
        if refused.code in ("NoSuchKey", "AccessDenied"):
            return f"{bucket.key()} is gone."
        raise
    raise CheckFailed(f"{bucket.key()} was deleted and is still returned: delete it by hand.")


STEPS = (
    Step("provider", provider),
    Step("connections", connections),
    Step("put", put),
    Step("conditional", conditional),
    Step("read", read),
    Step("delete", delete, undoes="put"),
    Step("gone", gone),
    Step("rights", s3_rights.rights),
    Step("erasing", s3_erasing.erasing),
    Step("expiry", s3_expiry.expiry),
)


def _body(bucket: Bucket) -> bytes:
    return f"Sanity check {bucket.key()}\n".encode()
