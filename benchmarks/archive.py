"""Raw responses → S3: the CPU time of a put."""

import asyncio
import gzip
import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]  # as above

from benchmarks import services
from benchmarks.measurement import Measurement, OnProgress, cost, cpu_seconds, medians
from benchmarks.pages import NOW, pages
from benchmarks.size import size
from songswap import settings
from songswap.storage import keys
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse

_OBJECTS = size(200, 5)
_ROUNDS = size(7, 1)


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare ours with boto3's plain ``put_object`` of the same bytes."""
    on_progress("making pages")
    bodies = [(page.user_id, gzip.compress(page.body)) for page in pages(_OBJECTS)]
    hours = (NOW + timedelta(hours=number) for number in itertools.count())
    with services.object_store(folder) as store:
        bucket = services.archive_of(store)

        def spooled() -> list[RawResponse]:
            """Each round's responses are of another hour, so that S3 accepts all of them."""
            hour = next(hours)
            return [
                RawResponse(user, keys.for_hour(user, hour), hour, body, id=user)
                for user, body in bodies
            ]

        archive, client = Archive(bucket), _client(bucket)
        on_progress(f"{_OBJECTS} objects, {_ROUNDS} rounds")
        ours, theirs = medians(
            _ROUNDS,
            lambda: cpu_seconds(lambda: _ours(archive, spooled())),
            lambda: cpu_seconds(lambda: _theirs(client, bucket.bucket, spooled())),
        )
    yield cost(
        "a put, CPU per object, against boto3",
        1000 * ours / _OBJECTS,
        1000 * theirs / _OBJECTS,
        "ms",
        at_most=0.5,
    )


def _ours(archive: Archive, responses: list[RawResponse]) -> None:
    outcome = asyncio.run(archive.put_all(responses))
    if len(outcome.archived) != len(responses):
        raise RuntimeError(f"S3 did not accept all: {next(iter(outcome.problems.values()))}")


def _client(bucket: settings.Archive) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=bucket.endpoint_url,
        region_name=bucket.region,
        aws_access_key_id=bucket.access_key_id,
        aws_secret_access_key=bucket.secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )


def _theirs(client: Any, bucket: str, responses: list[RawResponse]) -> None:
    for response in responses:
        client.put_object(
            Bucket=bucket,
            Key=response.key,
            Body=response.packed,
            ContentType="application/json",
            ContentEncoding="gzip",
            Metadata={"observed-at": response.observed_at.isoformat(timespec="milliseconds")},
        )
