"""Raw answers → S3: what a put costs the process that does it."""

import asyncio
import gzip
import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from benchmarks import services
from benchmarks.figure import Figure, cost, cpu_seconds, medians
from benchmarks.pages import NOW, pages
from benchmarks.size import size
from songswap import settings
from songswap.storage import keys
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse

_OBJECTS = size(200, 5)
_ROUNDS = size(7, 1)


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Ours against boto3's plain ``put_object`` of the same bytes."""
    told("making pages")
    packed = [(page.user_id, gzip.compress(page.body)) for page in pages(_OBJECTS)]
    hours = (NOW + timedelta(hours=number) for number in itertools.count())
    with services.object_store(folder) as store:
        where = services.archive_of(store)

        def kept() -> list[RawResponse]:
            hour = next(hours)
            return [
                RawResponse(user, keys.for_hour(user, hour), hour, body, id=user)
                for user, body in packed
            ]

        archive, client = Archive(where), _client(where)
        told(f"{_OBJECTS} objects, {_ROUNDS} rounds")
        ours, theirs = medians(
            _ROUNDS,
            lambda: cpu_seconds(lambda: _ours(archive, kept())),
            lambda: cpu_seconds(lambda: _theirs(client, where.bucket, kept())),
        )
    yield cost(
        "a put, processor an object, against boto3",
        1000 * ours / _OBJECTS,
        1000 * theirs / _OBJECTS,
        "ms",
        most=0.5,
    )


def _ours(archive: Archive, kept: list[RawResponse]) -> None:
    outcome = asyncio.run(archive.put_all(kept))
    if len(outcome.archived) != len(kept):
        raise RuntimeError(f"S3 did not take all: {next(iter(outcome.problems.values()))}")


def _client(where: settings.Archive) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=where.endpoint_url,
        region_name=where.region,
        aws_access_key_id=where.access_key_id,
        aws_secret_access_key=where.secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )


def _theirs(client: Any, bucket: str, kept: list[RawResponse]) -> None:
    for one in kept:
        client.put_object(
            Bucket=bucket,
            Key=one.key,
            Body=one.packed,
            ContentType="application/json",
            ContentEncoding="gzip",
            Metadata={"observed-at": one.observed_at.isoformat(timespec="milliseconds")},
        )
