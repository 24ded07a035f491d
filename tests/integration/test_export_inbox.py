"""Where exports of many users wait, in a folder and in S3."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from factories import MakePlatform, Platform
from listing_s3 import ListingS3, listing_s3

from songswap import settings
from songswap.errors import ArchiveUnreadable, ExportRefused
from songswap.pipelines.import_export import Imported, import_package
from songswap.storage.export_files import find_sources
from songswap.storage.export_inbox import Package, fetch_package, find_exports, package_of

ROW = {
    "ts": "2023-01-02T03:04:05Z",
    "ms_played": 200_000,
    "spotify_track_uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC",
    "reason_end": "trackdone",
}
ROWS = json.dumps([ROW]).encode()
INSIDE = "Spotify Extended Streaming History/Streaming_History_Audio_2020_1.json"
SOURCE = "s3://own/history/inbox"


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as into:
        into.writestr(INSIDE, ROWS)
    return packed.getvalue()


@pytest.fixture
def s3() -> Iterator[ListingS3]:
    with listing_s3() as store:
        yield store


def library(s3: ListingS3) -> settings.Archive:
    return settings.Archive("own", s3.url, "us-east-1", "reader", "secret")


LYING = {
    "": b"",
    "user12/": b"",
    "user12/Spotify Extended Streaming History/": b"",
    f"user12/{INSIDE}": ROWS,
    "user12/Spotify Extended Streaming History/ReadMeFirst.pdf": b"%PDF",
    "user12/._my_spotify_data.zip": b"\x00\x05\x16\x07",
    "user12/.DS_Store": b"\x00\x00\x00\x01Bud1",
    "user13.zip": zipped(),
    "user13_2024.zip": zipped(),
    "._user13.zip": b"\x00\x05\x16\x07",
    "USER14 (1).ZIP": zipped(),
    "user15/": b"",
    "my_spotify_data.zip": zipped(),
    "Anna/my_spotify_data.zip": zipped(),
    "user16.zip.crdownload": b"PK",
    "user17.json": ROWS,
    "user2147483647.zip": zipped(),
    "user2147483648.zip": zipped(),
    "notes.txt": b"x",
    ".DS_Store": b"\x00",
}
SKIPPED = [
    "Anna names no user",
    "my_spotify_data.zip names no user",
    "user15 is empty",
    "user16.zip.crdownload is a download that was not finished",
    "user17.json is neither a zip nor in a user's folder",
    "user2147483648.zip names no user",
]


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_inbox_lists_exports_and_names_what_may_be_one(
    tmp_path: Path, s3: ListingS3, place: str
) -> None:
    """Other files cost nothing, in a folder and in S3 alike."""
    inbox, source, key = tmp_path / "inbox", SOURCE, library(s3)
    for name, content in LYING.items():
        s3.objects[f"history/inbox/{name}"] = content
        if name.endswith("/") or not name:
            (inbox / name).mkdir(parents=True, exist_ok=True)
        else:
            (inbox / name).parent.mkdir(parents=True, exist_ok=True)
            (inbox / name).write_bytes(content)
    if place == "folder":
        source = str(inbox)
    waiting = find_exports(source, key)
    assert waiting.skipped == SKIPPED
    assert [package.user_id for package in waiting.packages] == [12, 13, 14, 2**31 - 1]
    found = []
    for package in waiting.packages:
        folder = tmp_path / str(package.user_id)
        folder.mkdir()
        given = fetch_package(package, key, folder)
        found.append(len(find_sources(given, folder).files))
    assert found == [1, 2, 1, 1]
    assert not [one for one in s3.got if one.endswith((".pdf", "/", "DS_Store"))]


def test_keys_that_no_disk_takes(tmp_path: Path, s3: ListingS3) -> None:
    """Objects whose keys cannot be paths of files are got as well."""
    names = [f"{'x' * 300}/endsong_0.json", "endsong_1.json", "endsong_1.json/endsong_2.json"]
    for name in names:
        s3.objects[f"history/inbox/user12/{name}"] = ROWS
    [package] = find_exports(SOURCE, library(s3)).packages
    given = fetch_package(package, library(s3), tmp_path)
    assert len(find_sources(given, tmp_path).files) == len(names)


def test_empty_object_is_a_file_and_named(tmp_path: Path, s3: ListingS3) -> None:
    s3.objects["history/inbox/user12/endsong_0.json"] = ROWS
    s3.objects["history/inbox/user12/my_spotify_data.zip"] = b""
    [package] = find_exports(SOURCE, library(s3)).packages
    with pytest.raises(ExportRefused, match=r"user12/my_spotify_data.zip is not a whole zip"):
        find_sources(fetch_package(package, library(s3), tmp_path), tmp_path)


def imports(platform: Platform, s3: ListingS3) -> list[Imported]:
    platform.settings = replace(platform.settings, library=library(s3))
    packages = find_exports(SOURCE, platform.settings.library).packages
    return [
        import_package(platform.settings, "import", package, platform.clock) for package in packages
    ]


@pytest.mark.parametrize("status", [404, 403, 500])
def test_object_that_cannot_be_got(make_platform: MakePlatform, s3: ListingS3, status: int) -> None:
    """An object that is listed and cannot be got costs its user alone, by name."""
    platform = make_platform(users=2)
    first, second = (platform.user_id(f"listener-000{number}") for number in (1, 2))
    for user in (first, second):
        s3.objects[f"history/inbox/user{user}/a.zip"] = zipped()
    s3.failing[f"history/inbox/user{first}/a.zip"] = status
    refused, done = imports(platform, s3)
    assert f"{SOURCE}/user{first}/a.zip" in (refused.problem or "")
    assert (done.problem, done.counts["loaded"]) == (None, 1)
    assert platform.rows("SELECT user_id FROM songswap.imports") == [(second,)]


@pytest.mark.parametrize("name", ["/a.json", "Icon\r", "./a.json", "a\tb.json", "../a.json"])
def test_keys_that_the_client_does_not_list(
    make_platform: MakePlatform, s3: ListingS3, name: str
) -> None:
    """A key with which the client lists nothing costs its user alone."""
    platform = make_platform(users=2)
    first, second = (platform.user_id(f"listener-000{number}") for number in (1, 2))
    for user in (first, second):
        s3.objects[f"history/inbox/user{user}/a.zip"] = zipped()
    s3.objects[f"history/inbox/user{first}/{name}"] = b"x"
    s3.objects["history/inbox/user77/"] = b""
    assert find_exports(SOURCE, library(s3)).skipped == ["user77 is empty"]
    refused, done = imports(platform, s3)
    assert f"{SOURCE}/user{first}/ cannot be listed" in (refused.problem or "")
    assert (done.problem, done.counts["loaded"]) == (None, 1)


def test_outage_of_s3_is_no_failure_of_an_export(
    make_platform: MakePlatform, s3: ListingS3
) -> None:
    platform = make_platform(users=1)
    s3.objects[f"history/inbox/user{platform.user_id('listener-0001')}.zip"] = zipped()
    [package] = find_exports(SOURCE, library(s3)).packages
    platform.settings = replace(platform.settings, library=library(s3))
    s3.is_away = True
    with pytest.raises(ArchiveUnreadable, match="did not list or give"):
        import_package(platform.settings, "import", package, platform.clock)


def test_link_in_the_inbox(tmp_path: Path) -> None:
    """A user's folder that is a link out of the inbox is another's files, perhaps."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (tmp_path / "other").mkdir()
    (inbox / "user12").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "endsong.json").write_bytes(ROWS)
    [package] = find_exports(str(inbox), None).packages
    with pytest.raises(ExportRefused, match="leads out of it, user12"):
        fetch_package(package, None, tmp_path)


def test_inbox_without_users_names_its_contents(tmp_path: Path) -> None:
    """A path that is no folder is refused."""
    (tmp_path / "my_spotify_data.zip").write_bytes(zipped())
    with pytest.raises(ExportRefused, match=r"my_spotify_data\.zip names no user"):
        find_exports(str(tmp_path), None)
    with pytest.raises(ExportRefused, match="Whose is it"):
        find_exports(str(tmp_path / "my_spotify_data.zip"), None)
    (tmp_path / "user8.zip").write_bytes(zipped())
    with pytest.raises(ExportRefused, match="user 9 waits"):
        package_of(9, str(tmp_path), None)


@pytest.mark.parametrize("name", ["user12", "Anna", "Anna/my_spotify_data.zip", "user13.zip"])
def test_export_in_s3(tmp_path: Path, s3: ListingS3, name: str) -> None:
    """What in S3 is one export, a folder or a zip, is that of the user who is named."""
    for key, content in LYING.items():
        s3.objects[f"history/inbox/{key}"] = content
    package = package_of(12, f"{SOURCE}/{name}", library(s3))
    given = fetch_package(package, library(s3), tmp_path)
    assert [one.label for one in given] == [f"{SOURCE}/{name}"]
    assert len(find_sources(given, tmp_path).files) == 1
    with pytest.raises(ExportRefused, match="No export of user 12 waits"):
        package_of(12, f"{SOURCE}/nowhere", library(s3))
    with pytest.raises(ExportRefused, match="No export of user 99 waits"):
        package_of(99, SOURCE, library(s3))


def test_one_users_export_is_found_among_many(tmp_path: Path) -> None:
    for user in (1, 12):
        (tmp_path / f"user{user}.zip").write_bytes(zipped())
    assert package_of(12, str(tmp_path), None) == Package(12, str(tmp_path), ("user12.zip",))
