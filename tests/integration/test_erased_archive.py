"""What comes back into S3 of erased users is removed, and of nobody else."""

from dataclasses import replace
from datetime import timedelta

import obstore
import pytest
from factories import MakePlatform, Platform

from songswap.errors import ArchiveNotErased
from songswap.pipelines import erase
from songswap.pipelines.erased_archive import WATCHED, remove_returned
from songswap.warehouse import erasures
from songswap.warehouse.connection import connect


def erased(platform: Platform, user: int) -> int:
    """Erase a user everywhere; return the erasure's id."""
    platform.execute("DELETE FROM songswap.spools")
    erasure_id = erase.request(platform.settings, user, clock=platform.clock)
    receipt = erase.proceed(platform.settings, erasure_id, clock=platform.clock)
    assert receipt.is_complete, receipt.waiting
    return erasure_id


def put_back(platform: Platform, user: int, number: int = 1) -> list[str]:
    """Put objects of a user, as an import does that was at work."""
    folder = f"history/export/user{user}"
    keys = [f"{folder}/user{user}_account_{n:016x}.json" for n in range(number)]
    for key in keys:
        obstore.put(platform.bucket, key, b"{}")
    return keys


def removed(platform: Platform, erasure_id: int) -> int:
    """How many objects a receipt has of S3."""
    with connect(platform.settings.warehouse_dsn) as connection:
        (s3,) = (each for each in erasures.places(connection, erasure_id) if each.place == "s3")
    return s3.removed["objects"]


def let_pass(platform: Platform, time: timedelta) -> None:
    """Have an erasure ended that long ago: one that ends counts by the server's clock."""
    platform.execute(
        "UPDATE songswap.erasures SET requested_at = requested_at - %s, ended_at = ended_at - %s",
        *(time, time),
    )


def test_returned_objects_are_added_to_the_receipt(make_platform: MakePlatform) -> None:
    """The erasure ends anew after that, and is looked after for another week."""
    platform = make_platform(users=3, real_time=True)
    platform.load()
    user, other = (platform.user_id(f"listener-000{n}") for n in (1, 2))
    erasure_id = erased(platform, user)
    before, first_end = removed(platform, erasure_id), platform.clock() - timedelta(days=6)
    assert list(remove_returned(platform.settings, platform.clock)) == []

    keys, others = put_back(platform, user, 3), put_back(platform, other)
    let_pass(platform, timedelta(days=6))
    (returned,) = remove_returned(platform.settings, platform.clock)
    assert returned[:3] == (user, 3, first_end.date())
    assert returned.receipt.is_complete
    ended_at = returned.receipt.erasure.ended_at
    assert ended_at
    assert ended_at - first_end >= timedelta(days=6)
    assert removed(platform, erasure_id) == before + 3
    assert set(others) <= set(platform.objects())
    assert not set(keys) & set(platform.objects())

    let_pass(platform, timedelta(days=6))
    put_back(platform, user)
    assert len(list(remove_returned(platform.settings, platform.clock))) == 1
    let_pass(platform, WATCHED + timedelta(seconds=1))
    kept = put_back(platform, user)
    assert list(remove_returned(platform.settings, platform.clock)) == []
    assert set(kept) <= set(platform.objects())


def test_user_who_is_one_again_keeps_new_objects(make_platform: MakePlatform) -> None:
    """Whether that was recorded before the look, or between the look and the removal."""
    platform = make_platform(users=2)
    platform.load()
    user = platform.user_id("listener-0001")
    erasure_id = erased(platform, user)
    platform.advance(hours=1)
    platform.execute("UPDATE songswap.erasures SET renewed_at = %s", platform.clock())
    kept = put_back(platform, user)
    assert list(remove_returned(platform.settings, platform.clock)) == []
    with connect(platform.settings.warehouse_dsn) as connection:
        assert not erasures.begin_again(connection, erasure_id)
    assert set(kept) <= set(platform.objects())


def test_what_cannot_be_removed_is_no_success(make_platform: MakePlatform) -> None:
    """Without a key nothing was looked at; with one that may not delete, the receipt is open."""
    platform = make_platform(users=2)
    platform.load()
    user = platform.user_id("listener-0001")
    erased(platform, user)
    assert list(remove_returned(platform.settings, lambda: platform.clock() + timedelta(8))) == []
    put_back(platform, user)
    settings = platform.settings
    with pytest.raises(ArchiveNotErased, match="No key may list and delete"):
        list(remove_returned(replace(settings, eraser=None), platform.clock))
    only_reads = replace(settings, eraser=settings.library)
    (returned,) = remove_returned(only_reads, platform.clock)
    assert not returned.receipt.is_complete
    assert "may have objects" in returned.receipt.waiting[0]
    assert [receipt.is_complete for receipt in erase.receipts(settings, user)] == [False]
    (open_id,) = erase.open_ids(settings)
    assert erase.proceed(settings, open_id, clock=platform.clock).is_complete
