"""What `songswap export` writes, imported: the same plays, in any order, and never twice."""

import itertools
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cutting_proxy import CUT, CuttingProxy
from factories import MakePlatform, Platform

from songswap.dev.stack.loopback import call
from songswap.dev.stack.object_store import ObjectStore
from songswap.errors import ArchiveError, ExportRefused, LoadIncomplete, WarehouseError
from songswap.pipelines import replay
from songswap.pipelines.export_user import default_name, export_user
from songswap.pipelines.import_export import import_export, import_package
from songswap.storage.archive import Archive
from songswap.storage.export_inbox import find_exports
from songswap.storage.records import RawExport
from songswap.transform.exports.kinds import Kind

HISTORY = 'SELECT played_at, track_id FROM "History" WHERE user_id = %s ORDER BY 1'
STREAMS = """
SELECT ended_at, ms_played, played_at, outcome, to_the_minute, track_id, shuffle, skipped, offline,
  incognito, reason_start, reason_end, platform, country, track_name, artist_name, reported_at
FROM songswap.streams WHERE user_id = %s ORDER BY ended_at, ms_played, place
"""
TRACKS = """
SELECT t.id, t.name, coalesce(nullif(t.duration_ms, 0), e.duration_ms), p.name
FROM "Tracks" t LEFT JOIN songswap.export_tracks e ON e.id = t.id
LEFT JOIN songswap.primary_artists() p ON p.track_id = t.id
WHERE t.id IN (SELECT track_id FROM "History" WHERE user_id = %s) ORDER BY 1
"""
OF_API = """
SELECT h.played_at FROM "History" h WHERE user_id = %s AND NOT EXISTS (
  SELECT FROM songswap.streams s
  WHERE s.user_id = h.user_id AND s.played_at = h.played_at AND s.outcome = 'loaded')
"""
NAMES_OF_API = """
SELECT DISTINCT t.id, t.name FROM "Tracks" t JOIN "History" h ON h.track_id = t.id
WHERE h.user_id = %s AND NOT EXISTS (
  SELECT FROM songswap.streams s
  WHERE s.user_id = h.user_id AND s.played_at = h.played_at AND s.outcome = 'loaded')
ORDER BY 1
"""
EMPTY = """
TRUNCATE "Tracks", "Artists", "History", songswap.streams, songswap.imports,
  songswap.export_tracks, songswap.estimated_durations, songswap.enrichment_queue CASCADE
"""
AMBIGUOUS = """
INSERT INTO songswap.streams (user_id, ended_at, ms_played, place, outcome, to_the_minute,
  track_name, artist_name)
SELECT %s, '2015-01-01 00:00Z', 200000, 0, 'unidentified', true, name, artist
FROM songswap.export_tracks ORDER BY id LIMIT 1
"""
"""A row whose names fitted several tracks where it was imported, and fit one elsewhere."""
REPEATED_IN_PART = """
UPDATE songswap.streams SET ms_played = ms_played + 5000
WHERE (user_id, ended_at) = (
  SELECT s.user_id, s.ended_at FROM songswap.streams s
  JOIN "Tracks" t ON t.id = s.track_id AND t.duration_ms > 0
  LEFT JOIN songswap.estimated_durations d ON d.id = t.id
  WHERE s.reason_end = 'trackdone' AND d.id IS NULL ORDER BY 2 LIMIT 1
)
"""
"""A stream that is longer than its track."""
UNNAMED = """INSERT INTO "Tracks" (id, name, duration_ms) VALUES (repeat('0', 22), '', 0)"""
WITH_ANOTHER_ID = """
UPDATE "History" h SET track_id = repeat('0', 22)
WHERE (user_id, played_at) = (
  SELECT user_id, played_at FROM songswap.streams
  WHERE user_id = %s AND outcome = 'merged' AND NOT to_the_minute ORDER BY 2 LIMIT 1
)
"""
RENAMED = """UPDATE "Tracks" SET name = name || ' - 2011 Remaster'"""
NAMES = "SELECT id, name, artist, album FROM songswap.export_tracks ORDER BY 1"
POINTS = 20
OUTCOMES = ("loaded", "merged", "duplicates", "repeated", "short", "private", "unidentified")


def spotify_export(platform: Platform, path: Path, kind: str) -> Path:
    """The export that Spotify sends the first listener."""
    address = f"{platform.spotify.url}/admin/listeners/listener-0001/export?kind={kind}"
    path.write_bytes(call("GET", address))
    return path


def imported(platform: Platform, *paths: Path, trust: bool = False) -> Counter[str]:
    """The counts of an import, held to add up."""
    platform.runs += 1
    counts = import_export(
        platform.settings,
        platform.user_id("listener-0001"),
        paths,
        f"import {platform.runs}",
        lambda *_: None,
        platform.clock,
        trust,
    )
    assert counts["rows"] == sum(counts.get(name, 0) for name in (*OUTCOMES, *LEFT_OUT))
    return Counter(counts)


LEFT_OUT = ("podcast", "audiobook", "video", "rejected_items")


def handed_over(platform: Platform, path: Path) -> Path:
    """The first listener's zip."""
    user = platform.user_id("listener-0001")
    return export_user(
        platform.settings, user, path, 90, lambda *_: None, replaces=True, clock=platform.clock
    ).file


def rows(platform: Platform, query: str) -> list[tuple[Any, ...]]:
    return platform.rows(query, platform.user_id("listener-0001"))


def by_minute(platform: Platform) -> Counter[tuple[datetime, str]]:
    """The plays, with their times to the minute."""
    plays = rows(platform, HISTORY)
    return Counter((at.replace(second=0, microsecond=0), track) for at, track in plays)


@pytest.fixture
def source(make_platform: MakePlatform, tmp_path: Path) -> Platform:
    """A warehouse with plays of the API, of account data and of the extended history."""
    platform = make_platform("--epoch", "2026-11-01T00:00:00Z", users=2)
    platform.load()
    imported(platform, spotify_export(platform, tmp_path / "account.zip", "account"))
    platform.advance(hours=3)
    platform.load()
    imported(platform, spotify_export(platform, tmp_path / "extended.zip", "extended"))
    platform.advance(hours=20)
    platform.load()
    # The rows of its last hours come with the next export alone.
    imported(platform, spotify_export(platform, tmp_path / "account.zip", "account"))
    outcomes = {row[3] for row in rows(platform, STREAMS)}
    assert outcomes >= {"loaded", "merged", "short", "private"}
    return platform


@pytest.fixture
def empty(
    source: Platform, make_warehouse: Callable[[], str], tmp_path: Path
) -> Callable[[], Platform]:
    """Makes warehouses with the same users and their tokens, and nothing else."""

    def make() -> Platform:
        spool = tmp_path / f"spool {source.runs}"
        dsn = make_warehouse()
        other = replace(source, settings=replace(source.settings, warehouse_dsn=dsn, spool=spool))
        replay.copy_users(
            other.settings, source.settings.warehouse_dsn, replay.plan(source.settings)
        )
        for row in source.rows('SELECT id, access_token, refresh_token FROM "SpotifyTokens"'):
            other.execute('INSERT INTO "SpotifyTokens" VALUES (%s, %s, %s)', *row)
        return other

    return make


def test_empty_warehouse_gets_the_same_plays(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """To the millisecond; and the rows of exports, and what is known of the tracks."""
    source.execute(AMBIGUOUS, source.user_id("listener-0001"))
    source.execute(REPEATED_IN_PART)
    path = handed_over(source, tmp_path / "out.zip")
    target = empty()
    counts = imported(target, path)
    for query in (HISTORY, STREAMS, TRACKS):
        assert rows(target, query) == rows(source, query), query
    assert counts["loaded"] == len(rows(source, HISTORY))
    assert not counts["rejected_items"]
    again = handed_over(target, tmp_path / "again.zip")
    assert imported(empty(), again)["loaded"] == counts["loaded"]


def test_twice_and_into_its_own_warehouse_changes_nothing(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    path = handed_over(source, tmp_path / "out.zip")
    target = empty()
    imported(target, path)
    for platform in (target, source):
        before = [rows(platform, query) for query in (HISTORY, STREAMS, TRACKS)]
        counts = imported(platform, path)
        assert [rows(platform, query) for query in (HISTORY, STREAMS, TRACKS)] == before
        assert not counts["tracks"]
        assert counts["duplicates"] >= len(before[0])


def test_any_order_with_the_api_and_spotify_gives_the_same_plays(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """The hand-over, responses that overlap it, and Spotify's own export: no play twice, none lost.

    A play that account data has brought first stays at its minute.
    """
    path = handed_over(source, tmp_path / "out.zip")
    source.advance(hours=1)
    extended = spotify_export(source, tmp_path / "extended.zip", "extended")
    source.load()
    imported(source, extended)
    truth, of_api = by_minute(source), {row[0] for row in rows(source, OF_API)}
    assert len(of_api) > 60
    steps: dict[str, Callable[[Platform], object]] = {
        "own": lambda target: imported(target, path),
        "api": lambda target: target.load(),
        "extended": lambda target: imported(target, extended),
    }
    for order in itertools.permutations(steps):
        target = empty()
        for step in order:
            steps[step](target)
        assert by_minute(target) == truth, order
        assert {row[0] for row in rows(target, OF_API)} == of_api, order


def test_recording_with_another_id_is_one_play_in_any_order(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """Of which the API knew no name yet: the hand-over alone says which stream it is."""
    extended = spotify_export(source, tmp_path / "extended.zip", "extended")
    imported(source, extended)
    source.execute(UNNAMED)
    source.execute(WITH_ANOTHER_ID, source.user_id("listener-0001"))
    assert sum(track == "0" * 22 for _, track in rows(source, HISTORY)) == 1
    path = handed_over(source, tmp_path / "out.zip")
    for order in itertools.permutations((path, extended)):
        target = empty()
        for zip_file in order:
            imported(target, zip_file)
        assert by_minute(target) == by_minute(source), order
        merged = [
            [row for row in rows(of, STREAMS) if row[3] == "merged"] for of in (target, source)
        ]
        assert merged[0] == merged[1], order


def test_gap_stays_open(source: Platform, tmp_path: Path) -> None:
    """The zip can lack its plays too; Spotify's own export has them, and closes it."""
    path = handed_over(source, tmp_path / "out.zip")
    user = source.user_id("listener-0001")
    source.execute(
        "INSERT INTO songswap.gaps (user_id, after, before, found_at, run_id)"
        " VALUES (%s, '2026-11-20 10:00Z', '2026-11-20 11:00Z', now(), 'run')",
        user,
    )
    is_open = "SELECT closed_at IS NULL FROM songswap.gaps WHERE user_id = %s AND run_id = 'run'"
    with zipfile.ZipFile(path) as package:
        package.extractall(tmp_path / "unpacked")
    for given in (path, tmp_path / "unpacked" / "spotify"):
        imported(source, given)
        assert rows(source, is_open) == [(True,)]
    imported(source, spotify_export(source, tmp_path / "extended.zip", "extended"))
    assert rows(source, is_open) == [(False,)]


def test_replay_of_the_archive_gives_it_back(
    source: Platform, empty: Callable[[], Platform], own_objects: ObjectStore, tmp_path: Path
) -> None:
    """From an archive that has nothing else."""
    path = handed_over(source, tmp_path / "out.zip")
    target = empty()
    target.use(own_objects)
    imported(target, path)
    again = empty()
    again.settings = replace(target.settings, warehouse_dsn=again.settings.warehouse_dsn)
    [unit] = replay.plan(again.settings)
    counts = replay.replay(again.settings, "replay", unit)
    assert replay.problem(counts) is None
    for query in (HISTORY, STREAMS, TRACKS):
        assert rows(again, query) == rows(target, query) == rows(source, query), query
    assert replay.replay(again.settings, "replay 2", unit)["plays"] == 0


def test_replay_of_an_import_that_was_cut_off_gives_it_back(
    source: Platform,
    empty: Callable[[], Platform],
    own_objects: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between its plays and its streams; both are archived, but at two times."""
    extended = spotify_export(source, tmp_path / "extended.zip", "extended")
    imported(source, extended)
    source.execute(UNNAMED)
    source.execute(WITH_ANOTHER_ID, source.user_id("listener-0001"))
    path, target = handed_over(source, tmp_path / "out.zip"), empty()
    target.use(own_objects)
    put = Archive.put_export

    async def put_plays(archive: Archive, export: RawExport) -> None:
        if export.kind != Kind.PLAYS:
            raise ArchiveError("as at a kill")
        await put(archive, export)

    monkeypatch.setattr(Archive, "put_export", put_plays)
    with pytest.raises(ArchiveError):
        imported(target, path)
    monkeypatch.undo()
    target.advance(hours=30)
    imported(target, path)
    slices = (
        (None, target.clock() - timedelta(hours=1)),
        (target.clock() - timedelta(hours=1), None),
    )
    for bounds in ([(None, None)], slices):
        again = empty()
        again.settings = replace(target.settings, warehouse_dsn=again.settings.warehouse_dsn)
        for since, until in bounds:
            for unit in replay.plan(again.settings, since=since, until=until):
                counts = replay.replay(again.settings, "replay", unit)
                assert replay.problem(counts) is None
        assert rows(again, HISTORY) == rows(target, HISTORY) == rows(source, HISTORY)
        assert rows(again, STREAMS) == rows(source, STREAMS)


def test_what_stays_of_a_refused_import_is_said(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """Plays of the API are loaded before the streams: the next try finds them, adds the rest."""
    path, target = handed_over(source, tmp_path / "out.zip"), empty()
    target.execute("ALTER TABLE songswap.streams ADD CONSTRAINT refuse CHECK (ms_played < 0)")
    with pytest.raises(LoadIncomplete) as refusal:
        imported(target, path)
    assert "None of its streams is loaded; plays of the API that came with them may" in str(
        refusal.value
    )
    assert not rows(target, STREAMS)
    loaded = len(rows(target, HISTORY))
    assert loaded == len(rows(source, OF_API))
    target.execute("ALTER TABLE songswap.streams DROP CONSTRAINT refuse")
    counts = imported(target, path)
    assert counts["duplicates"] == loaded
    assert rows(target, HISTORY) == rows(source, HISTORY)

    target.execute("ALTER TABLE songswap.streams ADD CONSTRAINT refuse CHECK (false) NOT VALID")
    source.advance(hours=3)
    target.advance(hours=3)
    with pytest.raises(LoadIncomplete, match=r"None of its streams is loaded\. Its rows"):
        imported(target, spotify_export(source, tmp_path / "extended.zip", "extended"))


def test_tracks_stay_what_spotify_says_of_them(source: Platform, tmp_path: Path) -> None:
    """A person who edits a zip changes no track of anybody else."""
    before = source.rows('SELECT * FROM "Tracks" ORDER BY id')
    artists = source.rows('SELECT * FROM "ArtistTracks" ORDER BY 1, 2')

    def rename(row: dict[str, Any]) -> dict[str, Any]:
        artist = {"id": "zzzz", "name": "zzzz", "is_primary": True}
        return row | {"name": "zzzz", "duration_ms": 99_999_999, "artists": [artist]}

    path = handed_over(source, tmp_path / "out.zip")
    imported(source, edited(path, tmp_path / "edited.zip", {"tracks_1.jsonl": rename}))
    estimated = {id_ for (id_,) in source.rows("SELECT id FROM songswap.estimated_durations")}
    changed = {row[0] for row in {*before} ^ {*source.rows('SELECT * FROM "Tracks" ORDER BY id')}}
    assert changed <= estimated, "only lengths that Spotify has not given"
    assert source.rows('SELECT * FROM "ArtistTracks" ORDER BY 1, 2') == artists


def test_tracks_that_nobody_played_are_not_stored(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """Rows of tracks are everybody's, and an edited zip can have any number of them."""
    path, more = handed_over(source, tmp_path / "out.zip"), tmp_path / "more.zip"
    extra = [{"id": f"x{number:021d}", "name": "zzzz"} for number in range(1_000)]
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(more, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "tracks_1.jsonl":
                lines = len(content.splitlines()) + len(extra)
                content += "\n".join(map(json.dumps, extra)).encode()
            if name == "manifest.json":
                document = json.loads(content)
                document["files"]["tracks_1.jsonl"]["rows"] = lines
                content = json.dumps(document).encode()
            new.writestr(name, content)
    target = empty()
    imported(target, more)
    assert rows(target, TRACKS) == rows(source, TRACKS)
    for table in ('"Tracks"', "songswap.export_tracks", "songswap.estimated_durations"):
        assert not target.rows(f"SELECT id FROM {table} WHERE id LIKE 'x0000%%'")  # noqa: S608


def test_names_of_exports_stay_what_they_were(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """Spotify's differ, and account data finds its tracks by those of exports."""
    source.execute(RENAMED)
    path = handed_over(source, tmp_path / "out.zip")
    before = source.rows(NAMES)
    imported(source, path)
    assert source.rows(NAMES) == before

    target = empty()
    imported(target, path)
    stored = {id_: names for id_, *names in target.rows(NAMES)}
    assert {id_: stored.get(id_) for id_, *_ in before} == {id_: names for id_, *names in before}
    assert rows(target, NAMES_OF_API) == rows(source, NAMES_OF_API)
    account = spotify_export(source, tmp_path / "account.zip", "account")
    for platform in (source, target):
        counts = imported(platform, account)
        assert not counts["loaded"]
    assert by_minute(target) == by_minute(source)


Edit = Callable[[dict[str, Any]], dict[str, Any]]


def edited(path: Path, into: Path, edits: dict[str, Edit], **manifest: Any) -> Path:
    """A copy of a zip in which the rows of some files are edited."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if edit := edits.get(name):
                lines = [json.dumps(edit(json.loads(line))) for line in content.splitlines()]
                content = "\n".join(lines).encode()
            if name == "manifest.json" and manifest:
                content = json.dumps(json.loads(content) | manifest).encode()
            new.writestr(name, content)
    return into


def test_bad_rows_cost_only_themselves(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    path = handed_over(source, tmp_path / "out.zip")
    number = itertools.count()
    bad = (
        {"played_at": "2001-01-01T00:00:00.000Z"},
        {"played_at": "2099-01-01T00:00:00.000Z"},
        {"played_at": "soon"},
        {"played_at": 12},
        {"track_id": "../x"},
        {"track_id": None},
        {"source": "guess"},
    )

    def spoil(row: dict[str, Any]) -> dict[str, Any]:
        if row["source"] != "api":
            return row
        at = next(number)
        return row | bad[at] if at < len(bad) else row

    counts = imported(target := empty(), edited(path, tmp_path / "e.zip", {"plays_1.jsonl": spoil}))
    assert counts["rejected_items"] == len(bad)
    reasons = {reason for (reason,) in rows(target, REASONS)}
    assert reasons == {
        "played_at: before Spotify or in the future",
        "played_at: not a time",
        "track_id: not an id",
        "track_id: missing",
        "source: neither api nor export",
    }
    lost = {*rows(source, HISTORY)} - {*rows(target, HISTORY)}
    assert len(lost) <= len(bad)


REASONS = "SELECT reason FROM songswap.rejected_items WHERE user_id = %s"


def test_one_moment_is_one_play(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """A row at the time of another track is rejected; the stored one stays."""
    path = handed_over(source, tmp_path / "out.zip")
    before = rows(source, HISTORY)
    tracks = itertools.cycle(sorted({track for _, track in before}))

    def swap(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"track_id": next(tracks)} if row["source"] == "api" else row

    counts = imported(source, edited(path, tmp_path / "e.zip", {"plays_1.jsonl": swap}))
    assert rows(source, HISTORY) == before
    assert counts["rejected_items"] > 40
    assert {*rows(source, REASONS)} == {("key taken by another track",)}


def refused(platform: Platform, *paths: Path) -> str:
    """Why an import is refused; nothing of it is stored or archived."""
    before = platform.objects(), rows(platform, HISTORY), rows(platform, STREAMS)
    with pytest.raises(ExportRefused, match="Nothing was imported") as refusal:
        imported(platform, *paths)
    assert (platform.objects(), rows(platform, HISTORY), rows(platform, STREAMS)) == before
    return str(refusal.value)


def test_other_users_zip_needs_trust(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    path = handed_over(source, tmp_path / "out.zip")
    target = empty()
    for owner in ("0" * 64, ""):
        other = edited(path, tmp_path / "other.zip", {}, owner=owner)
        assert "another user" in refused(target, other)
    assert imported(target, other, trust=True)["loaded"] == len(rows(source, HISTORY))


def test_zip_that_is_not_whole_is_refused(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """And so is one that is hostile, of a later version, or mixed with another kind."""
    path, target = handed_over(source, tmp_path / "out.zip"), empty()
    with zipfile.ZipFile(path) as package:
        contents = {name: package.read(name) for name in package.namelist()}

    def zipped(**changed: bytes | None) -> Path:
        files = contents | {f"{name}_1.jsonl": content for name, content in changed.items()}
        with zipfile.ZipFile(tmp_path / "e.zip", "w", zipfile.ZIP_DEFLATED) as into:
            for name, content in files.items():
                if content is not None:
                    into.writestr(name, content)
        return tmp_path / "e.zip"

    plays = contents["plays_1.jsonl"]
    assert "lacks plays_1.jsonl" in refused(target, zipped(plays=None))
    assert "the manifest says" in refused(target, zipped(plays=plays[: len(plays) // 2]))
    broken = plays.replace(b'"source"', b'"source', 1)
    assert "is not whole JSON" in refused(target, zipped(plays=broken))
    assert "would become" in refused(target, zipped(streams=bytes(50_000_000)))
    later = edited(path, tmp_path / "later.zip", {}, version=2)
    assert "later version" in refused(target, later)
    spotify = spotify_export(source, tmp_path / "spotify.zip", "extended")
    assert "one after the other" in refused(target, path, spotify)
    assert imported(target, zipped())["loaded"] == len(rows(source, HISTORY))


def test_two_hand_overs_are_imported_one_after_the_other(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """Together they are refused, in an inbox too: a stream can be another play in each of them."""
    user, inbox = source.user_id("listener-0001"), tmp_path / "inbox"
    inbox.mkdir()
    first = handed_over(source, inbox / default_name(user, source.clock()))
    source.advance(hours=24)
    source.load()
    imported(source, spotify_export(source, tmp_path / "extended.zip", "extended"))
    second = handed_over(source, inbox / default_name(user, source.clock()))
    target = empty()
    assert "one after the other" in refused(target, first, second)
    assert "one after the other" in refused(target, inbox)
    [package] = find_exports(str(inbox), None).packages
    done = import_package(target.settings, "run", package, target.clock)
    assert "2 exports of SongSwap's" in str(done.problem)
    for path in (first, second):
        imported(target, path)
    assert rows(target, HISTORY) == rows(source, HISTORY)


def test_import_that_is_cut_anywhere_gives_the_same(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """Whatever was stored by then; also between the plays of the API and the streams."""
    path, target = handed_over(source, tmp_path / "out.zip"), empty()
    user, between, lost = source.user_id("listener-0001"), 0, 0
    truth = [rows(source, query) for query in (HISTORY, STREAMS, TRACKS)]

    def run(dsn: str) -> None:
        settings = replace(target.settings, warehouse_dsn=dsn)
        import_export(settings, user, [path], "import", lambda *_: None, target.clock)

    with CuttingProxy(target.settings.warehouse_dsn) as proxy:
        proxy.strike(None)
        run(proxy.dsn)
        messages = proxy.seen
        for point in range(1, POINTS + 1):
            target.execute(EMPTY)
            proxy.strike(max(1, point * messages // POINTS), CUT)
            try:
                run(proxy.dsn)
            except WarehouseError:
                lost += 1
            stored = rows(target, HISTORY), rows(target, STREAMS)
            assert len(stored[1]) in (0, len(truth[1])), "streams are stored in part"
            between += bool(stored[0]) and not stored[1]
            run(target.settings.warehouse_dsn)
            assert [rows(target, query) for query in (HISTORY, STREAMS, TRACKS)] == truth, point
    assert lost > POINTS // 2
    assert between > 0, "no point was between the two"


def test_zip_in_an_inbox_is_found(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    """By the name that it has if no other is given."""
    user, inbox, target = source.user_id("listener-0001"), tmp_path / "inbox", empty()
    inbox.mkdir()
    handed_over(source, inbox / default_name(user, source.clock()))
    [package] = find_exports(str(inbox), None).packages
    assert package.user_id == user
    done = import_package(target.settings, "run", package, target.clock)
    assert (done.problem, done.left_out) == (None, ())
    assert rows(target, HISTORY) == rows(source, HISTORY)


def test_unpacked_zip_is_read_too(
    source: Platform, empty: Callable[[], Platform], tmp_path: Path
) -> None:
    path = handed_over(source, tmp_path / "out.zip")
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as package:
        package.extractall(folder)
    counts = imported(empty(), folder)
    assert counts["loaded"] == len(rows(source, HISTORY))
    assert not counts["files_left_out"]
    (folder / "plays_1.jsonl").unlink()
    (folder / "plays_1.jsonl").symlink_to(tmp_path / "out.zip")
    assert "lacks plays_1.jsonl" in refused(empty(), folder)
