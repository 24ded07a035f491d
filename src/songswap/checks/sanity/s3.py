"""Does the bucket do what is needed of it? With the tests' key, below `tests/`.

What the pipeline's own key may do is another matter, see `songswap.checks.sanity.s3_rights`.
"""

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from songswap import settings
from songswap.checks.sanity import s3_rights
from songswap.checks.sanity.given import Given, Step, connection_named, installed
from songswap.checks.sanity.s3_refusal import (
    BUCKET,
    CONNECTION,
    PIPELINE,
    PREFIX,
    Refused,
    mark,
    refusals,
)
from songswap.errors import CheckFailed, SettingsError
from songswap.storage.s3 import open_store, status

_OVERWRITES = (
    "The server overwrites an object although it was told not to (If-None-Match: *). The pipeline"
    " relies on that: where two answers have one key, the second would replace the first, and a raw"
    " answer be lost in silence. What to do: use a server that honours it, as AWS S3 does; see the"
    " release notes of yours."
)
_NOT_412 = (
    "The server answers a second put with If-None-Match: * with {}, where only 412 says that an"
    " object is there. No such answer would count as archived: they would wait in the spool. What"
    " to do: use a server that supports conditional puts, as AWS S3 does; see the release notes of"
    " yours."
)


def provider(_given: Given) -> str:
    """The provider of the connections' type is installed, and the client of the pipeline."""
    return f"Installed: {installed('apache-airflow-providers-amazon', 'obstore')}."


def connections(given: Given) -> str:
    """The bucket and both connections are set."""
    bucket = given.variable(BUCKET)
    for name in (PIPELINE, CONNECTION):
        try:
            settings.archive_of(
                given.connection(name), bucket, given.environment, connection_named(name)
            )
        except SettingsError as error:
            raise CheckFailed(str(error)) from error
    return f"Set: {BUCKET} ({bucket}), {PIPELINE}, {CONNECTION}."


def put(given: Given) -> str:
    """An object is taken."""
    key, body = _object(given)
    with refusals("take an object"):
        obstore.put(_store(given), key, body)
    return f"{key} was taken."


def conditional(given: Given) -> str:
    """An object that is there is not overwritten by a put that must not."""
    key, body = _object(given)
    with refusals("take a conditional put (If-None-Match: *), without which nothing is archived,"):
        try:
            obstore.put(_store(given), key, body, mode="create")
        except AlreadyExistsError as error:
            if status(error) != 412:
                raise CheckFailed(_NOT_412.format(status(error))) from None
            return f"{key} was not overwritten by a put that must not."
    raise CheckFailed(_OVERWRITES)


def read(given: Given) -> str:
    """The object is given back as it was put."""
    key, body = _object(given)
    with refusals("give an object back"):
        found = obstore.get(_store(given), key).bytes()
    if bytes(found) != body:
        raise CheckFailed(
            f"{key} came back with other bytes than were put. Look at what lies between here and"
            f" the bucket: endpoint_url in the extra of {connection_named(CONNECTION)}."
        )
    return f"{key} came back as it was put."


def delete(given: Given) -> str:
    """The object is deleted."""
    key, _ = _object(given)
    with refusals(f"delete {key}, which is still there,"):
        obstore.delete(_store(given), key)
    return f"{key} was deleted."


def gone(given: Given) -> str:
    """The object is not given any more."""
    key, _ = _object(given)
    try:
        with refusals("answer for a deleted object"):
            obstore.get(_store(given), key)
    except Refused as refusal:
        # To a key that may not list the bucket, S3 does not say that an object is not there.
        if refusal.code in ("NoSuchKey", "AccessDenied"):
            return f"{key} is gone."
        raise
    raise CheckFailed(f"{key} was deleted and is still given: delete it by hand.")


STEPS = (
    Step("provider", provider),
    Step("connections", connections),
    Step("put", put),
    Step("conditional", conditional),
    Step("read", read),
    Step("delete", delete, undoes="put"),
    Step("gone", gone),
    Step("rights", s3_rights.rights),
)


def _object(given: Given) -> tuple[str, bytes]:
    """The key and the body of a run's object: every step derives the same."""
    return f"{PREFIX}{mark(given)}.txt", f"Sanity check {mark(given)}\n".encode()


def _store(given: Given) -> S3Store:
    connections(given)
    connection, bucket = given.connection(CONNECTION), given.variable(BUCKET)
    return open_store(settings.archive_of(connection, bucket, given.environment, CONNECTION))
