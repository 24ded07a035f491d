"""The small inputs that came out wrong once, where they are at hand: see their README."""

import json
from pathlib import Path
from typing import Any

import obstore
import pytest
from factories import MakePlatform, Platform

from songswap.errors import ExportRefused
from songswap.pipelines.import_export import Imported, import_files, import_package
from songswap.storage.export_inbox import find_exports

CASES = Path(__file__).parents[3] / "shared" / "data" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="shared/data/cases is not here")


def imported(platform: Platform, path: Path, **options: Any) -> Imported:
    user = platform.user_id("listener-0001")
    return import_files(
        platform.settings, user, [path], "import", lambda *_: None, platform.clock, **options
    )


def plays(counts: dict[str, int]) -> dict[str, int]:
    """The counts of plays and of what is none, without the zeros and what comes with them."""
    beside = ("rows", "tracks", "data_fixes", "gaps_closed", "files_left_out")
    return {name: count for name, count in counts.items() if count and name not in beside}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("names/oldest_names.zip", {"loaded": 2}),
        ("names/Streaming_History_Audio_2019.JSON", {"loaded": 1}),
        ("names/endsong_0 copy.json", {"loaded": 1}),
        ("beside/empty_video.zip", {"loaded": 1}),
        ("times", {"loaded": 1}),
        ("private/Streaming_History_Audio_2019.json", {"private": 1}),
        ("private/other_kinds", {"podcast": 1}),
        ("zip/one_name_twice.zip", {"loaded": 2}),
        ("zip/utf16", {"loaded": 1}),
        ("twice/v1_same_ts_ms_differs_by_1", {"loaded": 1, "repeated": 1}),
        ("twice/v2_3s_apart_same_ms", {"loaded": 1, "repeated": 1}),
        ("twice/v5_control_real_repeat", {"loaded": 2}),
        ("twice/v6_control_two_devices", {"loaded": 2}),
        ("offline", {"loaded": 4}),
    ],
)
def test_case_is_imported_as_expected(
    make_platform: MakePlatform, case: str, expected: dict[str, int]
) -> None:
    platform = make_platform(users=1)
    assert plays(imported(platform, CASES / case, trust=True).counts) == expected


def test_offline_plays_are_in_the_order_heard(make_platform: MakePlatform) -> None:
    """Each is at the end that follows from its start, though the phone reported it later."""
    platform = make_platform(users=1)
    imported(platform, CASES / "offline")
    ends = [
        (row["spotify_track_uri"][-1], (row["offline_timestamp"] + row["ms_played"]) // 1000)
        for row in json.loads((CASES / "offline/Streaming_History_Audio_2021.json").read_text())
    ]
    found = platform.rows(
        'SELECT right(track_id, 1), extract(epoch FROM played_at)::float8 FROM "History" ORDER BY 2'
    )
    assert [track for track, _ in found] == ["1", "2", "3", "4"]
    for (track, at), (expected, end) in zip(found, sorted(ends), strict=True):
        assert (track, abs(at - end) <= 1) == (expected, True)


def test_empty_video_is_named(make_platform: MakePlatform) -> None:
    """What is broken and would not be used is noted."""
    [name] = imported(make_platform(users=1), CASES / "beside/empty_video.zip").left_out
    assert "Video" in name


def test_time_without_zone_is_utc(make_platform: MakePlatform) -> None:
    platform = make_platform(users=1)
    imported(platform, CASES / "times")
    assert platform.rows('SELECT played_at::text FROM "History"') == [("2019-03-14 15:09:26",)]


@pytest.mark.parametrize("place", ["folder", "s3"])
@pytest.mark.parametrize(("case", "user"), [("mac_user12", 12), ("unpacked", 90)])
def test_pdf_and_files_of_a_mac_are_ignored(
    make_platform: MakePlatform, tmp_path: Path, case: str, user: int, place: str
) -> None:
    """Locally and in S3."""
    platform = make_platform(users=1)
    platform.execute('UPDATE "Users" SET id = %s', user)
    inbox = tmp_path / "inbox"
    root = CASES / "beside" / case
    prefix = "" if (root / f"user{user}").is_dir() else f"user{user}/"
    for path in root.rglob("*"):
        if path.is_file():
            name = f"{prefix}{path.relative_to(root).as_posix()}"
            if place == "s3":
                obstore.put(platform.bucket, f"history/inbox/{name}", path.read_bytes())
            else:
                (inbox / name).parent.mkdir(parents=True, exist_ok=True)
                (inbox / name).write_bytes(path.read_bytes())
    source = (
        f"s3://{platform.settings.archive.bucket}/history/inbox" if place == "s3" else str(inbox)
    )
    waiting = find_exports(source, platform.settings.library)
    [done] = [
        import_package(platform.settings, "import", package, platform.clock)
        for package in waiting.packages
    ]
    assert (done.problem, plays(done.counts), waiting.skipped) == (None, {"loaded": 1}, [])


def test_number_and_name(make_platform: MakePlatform) -> None:
    """The name of a user whose id is a number is refused, and passes for who says it is right."""
    platform = make_platform(users=1)
    platform.execute("""UPDATE "Users" SET spotify_id = '1112223334'""")
    user = platform.rows('SELECT id FROM "Users"')[0][0]
    case = [CASES / "user/number_and_name.zip"]
    about = (platform.settings, user, case, "import", lambda *_: None, platform.clock)
    with pytest.raises(ExportRefused, match="--trust"):
        import_files(*about)
    assert json.dumps(import_files(*about, trust=True).counts["loaded"]) == "1"
