"""What is found in zips, folders and files that somebody gave."""

import io
import json
import os
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from songswap.errors import ExportRefused
from songswap.pipelines.export_contents import read_contents
from songswap.storage.export_files import LabelledPath, Sources, find_sources
from songswap.transform.exports.kinds import Kind
from songswap.transform.handover import manifest

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
ROW = {
    "ts": "2023-01-02T03:04:05Z",
    "ms_played": 200_000,
    "spotify_track_uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC",
    "reason_end": "trackdone",
}
ROWS = json.dumps([ROW]).encode()
AUDIO = "Spotify Extended Streaming History/Streaming_History_Audio_2020_1.json"


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as into:
        for name, content in files.items():
            into.writestr(name, content)
    return packed.getvalue()


def found(folder: Path, *paths: Path) -> Sources:
    inner = folder / "inner"
    inner.mkdir(exist_ok=True)
    return find_sources([LabelledPath(path, path.name) for path in paths], inner)


def rows(search: Sources) -> int:
    """How many rows there are, all of them read."""
    contents = read_contents(1, search, NOW, lambda *_: None)
    search.left_out = contents.left_out
    return sum(file.rows for file in contents.files)


BESIDE = {
    "ReadMeFirst_ExtendedStreamingHistory.pdf": b"%PDF-1.4",
    ".DS_Store": b"\x00\x00\x00\x01Bud1",
    "._endsong_0.json": b"\x00\x05\x16\x07",
    "._my_spotify_data.zip": b"\x00\x05\x16\x07",
    "__MACOSX/x/._Streaming_History_Audio_2020_1.json": b"\x00\x05\x16\x07",
    "Thumbs.db": b"\xd0\xcf\x11\xe0",
    "desktop.ini": b"[.ShellClassInfo]\n",
    "Playlist1.json": b'{"playlists": []}',
    "YourLibrary.json": b"{}",
    "Payments.json": b"",
    "broken.json": b"[{",
    "notes.txt": b"",
    "photo.jpg": b"\xff\xd8",
    "my_spotify_data.zip:Zone.Identifier": b"[ZoneTransfer]",
    ".~lock.endsong_0.json#": b"x",
}


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_other_files_of_an_export_are_ignored(tmp_path: Path, form: str) -> None:
    """Those that Spotify, computers and people leave beside a history."""
    files = {AUDIO: ROWS, **BESIDE}
    given_path = tmp_path / "export.zip"
    if form == "zip":
        given_path.write_bytes(zipped(files))
    else:
        given_path = tmp_path / "export"
        for name, content in files.items():
            (given_path / name).parent.mkdir(parents=True, exist_ok=True)
            (given_path / name).write_bytes(content)
    search = found(tmp_path, given_path)
    assert rows(search) == 1
    assert search.left_out == []


NAMED = {
    "endvideo_0.json": (b"", "is broken"),
    "Streaming_History_Video_2020.json": (b"[{", "is broken"),
    "Kopie von endsong_0.json": (b"", "no rows of one"),
    "year.json": (b'[{"ts": "2020-01-01T00:00:00Z", "ms_played": 5}]', "look like"),
    "my_spotify_data.zip.part": (b"PK", "not finished"),
    "Unconfirmed 1.crdownload": (b"PK", "not finished"),
    "endsong.7z": (b"7z", "unpack it"),
    ".syncthing.endsong_0.json.tmp": (json.dumps([ROW] * 3)[:-9].encode(), "is broken"),
    ".my_spotify_data.zip.icloud": (b"bplist00", "no rows of one"),
    "StreamingHistory.csv": (b"ts,ms_played", "no rows of one"),
}


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("name", NAMED)
def test_skipped_file_that_may_be_a_history_is_named(tmp_path: Path, name: str, form: str) -> None:
    """With its reason."""
    content, words = NAMED[name]
    if form == "zip":
        path = tmp_path / "export.zip"
        path.write_bytes(zipped({AUDIO: ROWS, name: content}))
    else:
        path = tmp_path / "export"
        path.mkdir()
        (path / "endsong.json").write_bytes(ROWS)
        (path / name).write_bytes(content)
    search = found(tmp_path, path)
    assert rows(search) == 1
    [sentence] = search.left_out
    assert name in sentence
    assert words in sentence


def test_unfinished_download_of_safari(tmp_path: Path) -> None:
    """Safari's download is a folder with a part of the zip."""
    folder = tmp_path / "export" / "my_spotify_data.zip.download"
    folder.mkdir(parents=True)
    (folder / "my_spotify_data.zip").write_bytes(b"PK\x03\x04")
    (tmp_path / "export" / "endsong.json").write_bytes(ROWS)
    search = found(tmp_path, tmp_path / "export")
    assert rows(search) == 1
    assert search.left_out == [
        "export/my_spotify_data.zip.download is a download that was not finished"
    ]


PLAY = {"played_at": "2026-01-01T00:00:00.123Z", "track_id": "t1", "source": "api"}
OWN = {
    "manifest.json": json.dumps(manifest.build("anna", {"plays_1.jsonl": 1}, NOW)).encode(),
    "plays_1.jsonl": json.dumps(PLAY).encode() + b"\n",
    "spotify/Streaming_History_Audio_2020_0.json": ROWS,
}


def given_as(form: str, folder: Path, files: dict[str, bytes]) -> Path:
    """A zip or a folder with files."""
    if form == "zip":
        path = folder / "export.zip"
        path.write_bytes(zipped(files))
        return path
    for name, content in files.items():
        path = folder / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "export"


def own_at(where: str) -> dict[str, bytes]:
    """A hand-over in a folder of an export."""
    named = json.loads(OWN["manifest.json"])
    named["files"]["spotify/Streaming_History_Audio_2020_0.json"] = {"rows": 1}
    files = OWN | {"manifest.json": json.dumps(named).encode()}
    return {f"{where}{name}": content for name, content in files.items()}


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("where", ["", "a/", "a/b/c/"])
def test_hand_over_is_found_at_any_depth(tmp_path: Path, form: str, where: str) -> None:
    """Its plays and its owner, and not its files in Spotify's form."""
    others = {f"{number}/manifest.json": b'{"name": "other"}' for number in range(3)}
    search = found(tmp_path, given_as(form, tmp_path, own_at(where) | others))
    assert [source.kind for source in search.files] == [Kind.PLAYS]
    assert search.owner_digests == {manifest.owner_digest("anna")}
    assert rows(search) == 1


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_hand_over_beside_an_export_of_spotifys_is_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(ExportRefused, match="one after the other"):
        found(tmp_path, given_as(form, tmp_path, own_at("a/") | {AUDIO: ROWS}))


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(
    "content", [None, b"{", b'{"format": "songswap-export"}', OWN["manifest.json"][:-9] + b"1.5}}}"]
)
def test_hand_over_without_its_manifest_is_refused(
    tmp_path: Path, form: str, content: bytes | None
) -> None:
    """Its files in Spotify's form lack the plays that the API alone returned."""
    files = {f"a/b/{name}": kept for name, kept in OWN.items() if name != "manifest.json"}
    if content is not None:
        files["a/b/manifest.json"] = content
    with pytest.raises(ExportRefused, match=r"no manifest names it|is damaged"):
        found(tmp_path, given_as(form, tmp_path, files))


@pytest.mark.parametrize("line", [b"ab\n", b"\n", b"\r", b"\r\n"])
def test_lines_of_a_hand_over_are_counted_before_they_are_split(
    tmp_path: Path, line: bytes
) -> None:
    """Each takes many times the memory that it takes in the file."""
    body = line * (8 * 2**20 // len(line))
    search = found(tmp_path, given_as("folder", tmp_path, own_at("") | {"plays_1.jsonl": body}))
    tracemalloc.start()
    try:
        with pytest.raises(ExportRefused, match="than any history"):
            rows(search)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(body)


def test_tracks_of_a_hand_over_are_in_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no plays, but they are rows."""
    tracks = b"".join(b'{"id": "t%d"}\n' % number for number in range(20))
    built = manifest.build("anna", {"tracks_1.jsonl": 20}, NOW)
    files = {"manifest.json": json.dumps(built).encode(), "tracks_1.jsonl": tracks}
    search = found(tmp_path, given_as("zip", tmp_path, files))
    assert len(read_contents(1, search, NOW, lambda *_: None).files) == 1
    monkeypatch.setattr("songswap.pipelines.export_contents.MOST_ROWS_IN_ALL", 19)
    with pytest.raises(ExportRefused, match="more than 19 rows"):
        rows(search)


def test_empty_history_is_refused(tmp_path: Path) -> None:
    """An empty file of music would be missed: the rest alone would look complete."""
    path = tmp_path / "export.zip"
    path.write_bytes(zipped({AUDIO: ROWS, "endsong_1.json": b""}))
    with pytest.raises(ExportRefused, match=r"endsong_1\.json in export\.zip is not whole JSON"):
        rows(found(tmp_path, path))


def test_two_of_one_name(tmp_path: Path) -> None:
    """Two members of one name are two files."""
    other = json.dumps([ROW | {"ts": "2023-01-02T04:04:05Z"}] * 2).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as into:
        into.writestr(AUDIO, ROWS)
        with pytest.warns(UserWarning, match="Duplicate name"):
            into.writestr(AUDIO, other)
    path = tmp_path / "export.zip"
    path.write_bytes(packed.getvalue())
    search = found(tmp_path, path)
    assert sorted(source.body() for source in search.files) == sorted([ROWS, other])


def test_zip_in_a_zip(tmp_path: Path) -> None:
    """A zip in a zip is read; one in that is named."""
    innermost = zipped({"endsong_2.json": ROWS})
    inner = zipped({"endsong_1.json": ROWS, "more.zip": innermost})
    path = tmp_path / "all.zip"
    path.write_bytes(zipped({AUDIO: ROWS, "my_spotify_data.zip": inner}, zipfile.ZIP_STORED))
    search = found(tmp_path, path)
    assert rows(search) == 2
    assert search.left_out == [
        "more.zip in my_spotify_data.zip in all.zip is a zip in a zip in a zip: unpack it"
    ]


def test_many_zips_in_a_zip(tmp_path: Path) -> None:
    """Zips in a zip are bounded: each may have thousands of files."""
    path = tmp_path / "all.zip"
    inner = zipped({AUDIO: ROWS})
    path.write_bytes(zipped({f"{number}.zip": inner for number in range(101)}))
    with pytest.raises(ExportRefused, match="more than 100 zips in zips"):
        found(tmp_path, path)


def test_most_compressible_history_is_accepted(tmp_path: Path) -> None:
    """One song for a year."""
    hours = [
        f"2023-01-{day:02}T{hour:02}:{minute:02}:00Z"
        for day in range(1, 29)
        for hour in range(24)
        for minute in range(60)
    ]
    nothing = dict.fromkeys(f"audiobook_chapter_{number}" for number in range(15))
    body = json.dumps([ROW | nothing | {"ts": ts} for ts in hours], indent=4).encode()
    path = tmp_path / "export.zip"
    path.write_bytes(zipped({AUDIO: body}))
    assert len(body) > 100 * path.stat().st_size
    assert rows(found(tmp_path, path)) == len(hours)


def test_zip_of_another_name(tmp_path: Path) -> None:
    """A zip is one by its first bytes; a spreadsheet is none."""
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "my_spotify_data.zip.1").write_bytes(zipped({AUDIO: ROWS}))
    (folder / "plays.xlsx").write_bytes(zipped({AUDIO: ROWS}))
    (folder / ".com.google.Chrome.x").write_bytes(zipped({AUDIO: ROWS})[:99])
    search = found(tmp_path, folder)
    assert rows(search) == 1
    [sentence] = search.left_out
    assert "Chrome.x is not a whole zip" in sentence


def test_link_inside_the_folder_is_followed_and_outside_refused(tmp_path: Path) -> None:
    folder, other = tmp_path / "export", tmp_path / "other"
    for one in (folder, other):
        one.mkdir()
        (one / "endsong.json").write_bytes(ROWS)
    (folder / "endsong_1.json").symlink_to("endsong.json")
    (folder / "again").symlink_to(folder)
    (folder / "nowhere").symlink_to("gone")
    assert rows(found(tmp_path, folder)) == 1
    # The folder itself may be given by a link.
    (tmp_path / "link").symlink_to(folder)
    assert rows(found(tmp_path, tmp_path / "link")) == 1
    for target in (other / "endsong.json", other, Path("../other/endsong.json")):
        link = folder / "endsong_2.json"
        link.symlink_to(target)
        with pytest.raises(ExportRefused, match="leads out of it, endsong_2"):
            found(tmp_path, folder)
        link.unlink()


def test_link_in_a_zip(tmp_path: Path) -> None:
    """A zip that holds a link is no export."""
    link = zipfile.ZipInfo("endsong_0.json")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as into:
        into.writestr(AUDIO, ROWS)
        into.writestr(link, "/etc/passwd")
    with pytest.raises(ExportRefused, match="leads out of it"):
        found(tmp_path, tmp_path / "export.zip")


def test_pipes_are_not_read(tmp_path: Path) -> None:
    """A pipe with the name of a history would hold the import up for ever."""
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "endsong.json").write_bytes(ROWS)
    os.mkfifo(folder / "endsong_1.json")
    search = found(tmp_path, folder)
    assert rows(search) == 1
    assert search.left_out == ["export/endsong_1.json is no file"]


def test_names_are_shown_as_text(tmp_path: Path) -> None:
    """A name neither moves the cursor of a terminal nor ends in an error where it is printed."""
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "endsong.json").write_bytes(ROWS)
    (folder / os.fsdecode(b"endsong \x1b[31m\xff.csv")).write_bytes(b"")
    [sentence] = found(tmp_path, folder).left_out
    assert sentence.isprintable()
    assert r"endsong \x1b[31m\udcff.csv" in sentence


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def whole(method: int, is_large: bool) -> bytes:
    """A zip of two files, as today's programs write it, or with the fields of a large one."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as into:
        for name in (AUDIO, "Playlist1.json"):
            with into.open(name, "w", force_zip64=is_large) as file:
                file.write(ROWS * 20)
    return packed.getvalue()


@settings(max_examples=examples(10))
@given(
    method=st.sampled_from(METHODS),
    is_large=st.booleans(),
    bent=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 10_000),
)
def test_damaged_zip_is_read_or_refused_with_a_message(
    tmp_path_factory: pytest.TempPathFactory,
    method: int,
    is_large: bool,
    bent: list[tuple[int, int]],
    cut: int | None,
) -> None:
    content = bytearray(whole(method, is_large))
    for place, byte in bent:
        content[place % len(content)] = byte
    folder = tmp_path_factory.getbasetemp() / "bent"
    folder.mkdir(exist_ok=True)
    path = folder / "export.zip"
    path.write_bytes(content[: cut % len(content)] if cut else content)
    try:
        search = found(folder, path)
        for source in search.files:
            source.body()
    except ExportRefused as error:
        assert "Nothing was imported" in str(error)  # noqa: PT017


@pytest.mark.parametrize("error", [MemoryError(), IndexError("x"), KeyError("x"), OverflowError()])
def test_any_error_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Of whatever class an error of the library is, it is told of the file in which it came."""
    path = tmp_path / "export.zip"
    path.write_bytes(zipped({AUDIO: ROWS}))

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(ExportRefused, match="cannot be read"):
        found(tmp_path, path)


def test_list_of_files_is_bounded(tmp_path: Path) -> None:
    """A zip with millions of names is refused before they are in memory."""
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as into:
        for number in range(300):
            info = zipfile.ZipInfo(str(number))
            info.comment = b" " * 65_000
            into.writestr(info, b"")
    with pytest.raises(ExportRefused, match="list of files is larger"):
        found(tmp_path, path)


BOMBS: dict[str, Callable[[], bytes]] = {
    "objects": lambda: b"[" + b",".join([b"{}"] * 2_000_000) + b"]",
    "nulls": lambda: b"[" + b",".join([b"null"] * 2_000_000) + b"]",
    "lists": lambda: b"[" + b",".join([b"[]"] * 2_000_000) + b"]",
    "short rows": lambda: b"[" + b",".join([b'{"ts":"","ms_played":1}'] * 500_000) + b"]",
    "numbers": lambda: b'[{"ts":"","ms_played":1,"x":[' + b",".join([b"1"] * 2_000_000) + b"]}]",
}
MEASURE = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from songswap.errors import ExportRefused
from songswap.pipelines.export_contents import read_contents
from songswap.storage.export_files import LabelledPath, find_sources
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
try:
    found = find_sources([LabelledPath(Path(sys.argv[1]), "x")], Path(sys.argv[2]))
    read_contents(1, found, datetime(2026, 11, 22, tzinfo=UTC), lambda *_: None)
except ExportRefused as error:
    print((peak() - before) // 1024, error)
"""


@pytest.mark.parametrize("form", ["zip", "file"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_is_bounded(tmp_path: Path, bomb: str, form: str) -> None:
    """A file of a few KB that would become gigabytes in memory is refused before it does."""
    path = tmp_path / "export.zip"
    content = BOMBS[bomb]()
    if form == "zip":
        path.write_bytes(zipped({AUDIO: content}))
    else:
        path = tmp_path / "endsong_0.json"
        path.write_bytes(content)
    command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603
    peak_mib, sentence = done.stdout.split(" ", 1)
    assert "Nothing was imported" in sentence
    assert int(peak_mib) < 100


def test_kinds_that_hold_no_music_are_counted(tmp_path: Path) -> None:
    """A video file is known by its name, a podcast's by its rows."""
    podcast = {"endTime": "2023-01-02 03:04", "podcastName": "P", "msPlayed": 9}
    path = tmp_path / "export.zip"
    path.write_bytes(
        zipped({"endvideo.json": ROWS, "spoken.json": json.dumps([podcast] * 2).encode()})
    )
    search = found(tmp_path, path)
    assert {source.kind for source in search.files} == {Kind.VIDEO, Kind.PODCAST}
    contents = read_contents(1, search, NOW, lambda *_: None)
    assert contents.counts() == {"rows": 3, "video": 1, "podcast": 2, "rejected_items": 0}
