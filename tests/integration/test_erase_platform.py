"""An erased user on a whole platform stays erased, until there is a new authorization."""

from pathlib import Path

import obstore
import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.loopback import call
from songswap.dev.stack.sign_up import sign_up
from songswap.errors import ExportRefused
from songswap.pipelines import erase, replay
from songswap.pipelines.drain import drain
from songswap.pipelines.erase import Receipt
from songswap.pipelines.import_export import import_export
from songswap.warehouse import user_rows
from songswap.warehouse.connection import connect

Objects = dict[str, tuple[bytes, dict[str, str]]]


def objects_of(platform: Platform, user: int) -> Objects:
    """A user's objects, with their metadata."""
    own = [key for key in platform.objects() if f"/user{user}/" in key]
    got = {key: obstore.get(platform.bucket, key) for key in own}
    return {key: (bytes(each.bytes()), dict(each.attributes)) for key, each in got.items()}


def restore(platform: Platform, objects: Objects) -> None:
    """Put objects back, as from a backup of the bucket."""
    for key, (body, attributes) in objects.items():
        obstore.put(platform.bucket, key, body, attributes=attributes)


def rows_of(platform: Platform, user: int) -> dict[str, int]:
    """How many rows a user has, where there are any."""
    with connect(platform.settings.warehouse_dsn) as connection:
        rows = user_rows.count(connection, user)
    return {table: number for table, number in rows.items() if number}


def erase_all(platform: Platform, user: int, *, keeps_account: bool = False) -> Receipt:
    """Erase a user everywhere: a drain of this host confirms."""
    settings = platform.settings
    erasure_id = erase.request(settings, user, keeps_account=keeps_account, clock=platform.clock)
    receipt = erase.proceed(settings, erasure_id, clock=platform.clock)
    assert not receipt.is_complete
    assert settings.host in receipt.waiting[0]
    drain(settings, "drain", platform.clock)
    return erase.proceed(settings, erasure_id, clock=platform.clock)


def confirm(platform: Platform) -> None:
    """Have other hosts confirm, as their drains do."""
    platform.execute(
        "UPDATE songswap.erasure_places SET confirmed_at = clock_timestamp()"
        " WHERE place NOT IN ('warehouse', 's3') AND confirmed_at IS NULL"
    )


def replayed(platform: Platform, user: int) -> dict[str, int]:
    platform.runs += 1
    (unit,) = replay.plan(platform.settings, [user])
    return replay.replay(platform.settings, f"replay {platform.runs}", unit)


def export_of(platform: Platform, user: int, folder: Path) -> Path:
    """The extended history of a user, as Spotify sends it."""
    ((listener,),) = platform.rows('SELECT spotify_id FROM "Users" WHERE id = %s', user)
    export = folder / "export.zip"
    address = f"{platform.spotify.url}/admin/listeners/{listener}/export?kind=extended"
    export.write_bytes(call("GET", address))
    return export


def import_own(platform: Platform, user: int, path: Path) -> dict[str, int]:
    platform.runs += 1
    return import_export(
        platform.settings, user, [path], f"import {platform.runs}", lambda *_: None, platform.clock
    )


def test_stays_erased_until_a_new_authorization(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    """Through the hourly load, a replay of a restored archive and imports, also of an old export.
    After the authorization only what came since is loaded."""
    platform = make_platform(users=3)
    platform.load()
    export = export_of(platform, 1, tmp_path)
    import_own(platform, 1, export)
    kept = objects_of(platform, 1)
    others = [key for key in platform.objects() if key not in kept]
    before = rows_of(platform, 2), rows_of(platform, 3)

    receipt = erase_all(platform, 1, keeps_account=True)
    assert receipt.is_complete
    s3 = next(place for place in receipt.places if place.place == "s3")
    assert s3.removed["objects"] == len(kept) > 1
    assert platform.objects() == others
    account = {"Users": 1, "SpotifyTokens": 1}
    assert rows_of(platform, 1) == account
    assert (rows_of(platform, 2), rows_of(platform, 3)) == before

    restore(platform, kept)
    platform.advance(minutes=60)
    counts = platform.load()
    assert counts["polled"] == 2
    counts = replayed(platform, 1)
    assert counts["gone"] > 0
    assert replay.problem(counts) is None
    with pytest.raises(ExportRefused, match="was erased"):
        import_own(platform, 1, export)
    assert rows_of(platform, 1) == account

    platform.execute('DELETE FROM "SpotifyTokens" WHERE id = 1')
    listeners = platform.spotify.get("/admin/listeners")
    sign_up(platform.settings.warehouse_dsn, platform.spotify.url, listeners, lambda _: None)
    platform.load()
    assert "History" not in rows_of(platform, 1), "the response is of the very same moment"
    platform.advance(minutes=60)
    platform.load()
    plays = rows_of(platform, 1)["History"]
    assert plays > 0
    counts = replayed(platform, 1)
    assert counts["plays"] == 0
    assert counts["gone"] > 0
    assert replay.problem(counts) is None
    assert rows_of(platform, 1)["History"] == plays
    assert import_own(platform, 1, export)["rows"] > 0
    assert rows_of(platform, 1)["songswap.imports"] == 1
    assert [each.is_complete for each in erase.receipts(platform.settings, 1)] == [True]


def test_erased_again_after_a_new_authorization(make_platform: MakePlatform) -> None:
    """With a receipt of its own."""
    platform = make_platform(users=1)
    platform.load()
    first = erase_all(platform, 1, keeps_account=True)
    platform.execute('DELETE FROM "SpotifyTokens" WHERE id = 1')
    listeners = platform.spotify.get("/admin/listeners")
    sign_up(platform.settings.warehouse_dsn, platform.spotify.url, listeners, lambda _: None)
    for _ in range(2):
        platform.advance(minutes=60)
        platform.load()
    assert rows_of(platform, 1)["History"] > 0
    second = erase_all(platform, 1)
    assert second.erasure.erasure_id != first.erasure.erasure_id
    assert second.is_complete
    assert rows_of(platform, 1) == {}
    assert platform.objects() == []


def test_host_that_comes_back_after_the_end(make_platform: MakePlatform) -> None:
    """When it has confirmed, the warehouse and S3 are swept again: a process that was at work there
    may have archived a response."""
    platform = make_platform(users=2)
    platform.load()
    kept = objects_of(platform, 1)
    erasure_id = erase_all(platform, 1).erasure.erasure_id
    assert erase.open_ids(platform.settings) == []
    platform.execute(
        "INSERT INTO songswap.erasure_places (erasure_id, place, host)"
        " VALUES (%s, gen_random_uuid()::text, 'late')",
        erasure_id,
    )
    assert erase.open_ids(platform.settings) == [erasure_id]
    receipt = erase.proceed(platform.settings, erasure_id, clock=platform.clock)
    assert len(receipt.waiting) == 1
    assert receipt.waiting[0].startswith("Host late")
    restore(platform, kept)
    confirm(platform)
    assert erase.open_ids(platform.settings) == [erasure_id]
    assert not erase.receipts(platform.settings, 1)[0].is_complete
    receipt = erase.proceed(platform.settings, erasure_id, clock=platform.clock)
    assert receipt.is_complete
    assert objects_of(platform, 1) == {}
    assert erase.open_ids(platform.settings) == []


def test_token_that_the_pipeline_stored_late_is_no_authorization(
    make_platform: MakePlatform,
) -> None:
    """A process had exchanged the user's token before the request, and wrote it after that."""
    platform = make_platform(users=2)
    platform.load()
    erasure_id = erase.request(platform.settings, 1, keeps_account=True, clock=platform.clock)
    platform.execute("UPDATE \"SpotifyTokens\" SET refresh_token = 'rotated' WHERE id = 1")
    platform.execute(
        "UPDATE songswap.grants SET refresh_digest = sha256('rotated') WHERE user_id = 1"
    )
    drain(platform.settings, "drain", platform.clock)
    assert erase.proceed(platform.settings, erasure_id, clock=platform.clock).is_complete
    platform.advance(minutes=60)
    assert platform.load()["polled"] == 1
    assert rows_of(platform, 1) == {"Users": 1, "SpotifyTokens": 1}
    (receipt,) = erase.receipts(platform.settings, 1)
    assert receipt.erasure.renewed_at is None


def test_erasure_that_is_requested_during_an_import(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    """The import is refused, and what it had archived by then is removed."""
    platform = make_platform(users=1)
    export = export_of(platform, 1, tmp_path)
    receipts: list[Receipt] = []

    def on_progress(step: str, done: int, _: int) -> None:
        if step == "archive" and not done:
            erasure_id = erase.request(platform.settings, 1, clock=platform.clock)
            receipts.append(erase.proceed(platform.settings, erasure_id, clock=platform.clock))

    with pytest.raises(ExportRefused, match="was erased"):
        import_export(platform.settings, 1, [export], "import", on_progress, platform.clock)
    assert "an import of the user" in receipts[0].waiting[0]
    assert platform.objects() != []
    erasure_id = receipts[0].erasure.erasure_id
    receipt = erase.proceed(platform.settings, erasure_id, clock=platform.clock)
    assert receipt.is_complete
    assert platform.objects() == []
