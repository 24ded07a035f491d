"""Recorded responses are returned unchanged, and their contents are in the catalogue."""

import json
from pathlib import Path
from typing import Any

import pytest
from integration.simulator.caller import Starter

from songswap.dev.simulator.recorded import RecordedListener, RecordingError, read_recording
from songswap.dev.simulator.server import StartError

REAL = Path(__file__).parents[4] / "shared" / "data" / "recently_played_real_response.json"


def item(number: int) -> dict[str, Any]:
    """Return an item with only the fields that the simulator reads."""
    ident = f"{number:022d}"
    artist = {
        "id": f"9{number:021d}",
        "name": "Somebody",
        "href": "h",
        "uri": "u",
        "external_urls": {},
    }
    track = {"id": ident, "name": "n", "duration_ms": 1, "artists": [artist], "album": None}
    return {"track": track, "played_at": f"2023-06-05T23:{number:02d}:00.5Z", "context": None}


async def test_recorded_feed_is_returned_unchanged(spotify: Starter, tmp_path: Path) -> None:
    """Its items keep their order, also null tracks; limits and cursors apply."""
    items = [item(number) for number in range(9, 0, -1)] + [
        {"track": None, "played_at": "2023-06-05T23:00:00.123Z", "context": None}
    ]
    file = tmp_path / "recorded.json"
    file.write_text(json.dumps({"items": items, "next": None}))
    caller = await spotify(recorded=(("real", file),))
    assert (await caller.plays("real", limit=50)).body["items"] == items
    page = (await caller.plays("real", limit=2)).body
    assert page["items"] == items[:2]
    assert (await caller.plays("real", before=page["cursors"]["before"])).body["items"] == items[2:]
    lines = await caller.ledger("real")
    times = [line["played_at"] for line in lines[:2]]
    assert times == ["2023-06-05T23:00:00.123Z", "2023-06-05T23:01:00.500Z"]
    assert lines[0]["track_id"] is None
    assert all(line["returned"] for line in lines)


async def test_recorded_tracks_are_in_the_catalogue(spotify: Starter, tmp_path: Path) -> None:
    """Track, artist and features of a recording can be looked up."""
    file = tmp_path / "recorded.json"
    file.write_text(json.dumps({"items": [item(1)]}))
    caller = await spotify(recorded=(("real", file),))
    track = item(1)["track"]
    ident, artist = track["id"], track["artists"][0]["id"]
    assert (await caller.get("real", f"/tracks/{ident}")).body == track
    found = (await caller.get("real", "/artists", ids=artist)).body["artists"][0]
    assert (found["id"], found["name"]) == (artist, "Somebody")
    assert {"followers", "genres", "images", "popularity"} <= set(found)
    features = (await caller.get("real", "/audio-features", ids=ident)).body["audio_features"]
    assert features[0]["id"] == ident


async def test_recorded_metadata_is_returned_unchanged(spotify: Starter, tmp_path: Path) -> None:
    """Full artists, tracks and features replace what a feed has of them."""
    track = item(1)["track"] | {"type": "track"}
    link = track["artists"][0] | {"type": "artist"}
    artist = link | {"images": [], "genres": ["g"], "popularity": 3, "followers": {"total": 5}}
    features = {"id": track["id"], "type": "audio_features", "tempo": 120.5}
    responses: dict[str, Any] = {
        "feed": {"items": [item(1)]},
        "artist": artist,
        "features": {"audio_features": [features, None]},
        "top": {"items": [track | {"id": f"{2:022d}"}], "limit": 1, "next": None},
    }
    recorded = []
    for name, response in responses.items():
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(response))
        recorded.append((name, file))
    caller = await spotify(recorded=tuple(recorded[1:] + recorded[:1]), users=0)
    assert [listener["id"] for listener in await caller.admin("GET", "listeners")] == ["feed"]
    assert (await caller.get("feed", f"/artists/{artist['id']}")).body == artist
    assert (await caller.get("feed", f"/audio-features/{track['id']}")).body == features
    found = (await caller.get("feed", "/tracks", ids=f"{2:022d},{track['id']}")).body["tracks"]
    assert found == [track | {"id": f"{2:022d}"}, item(1)["track"]]


async def test_profile_of_a_recording_is_its_listeners(spotify: Starter, tmp_path: Path) -> None:
    """Without one the name and the e-mail address are made of the recording's name."""
    file = tmp_path / "recorded.json"
    profile = {"display_name": "Anna Müller", "email": "anna@example.com"}
    file.write_text(json.dumps({"items": [item(1)], "profile": profile}))
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({"items": [item(2)]}))
    caller = await spotify(recorded=(("anna", file), ("plain", plain)), users=0)
    assert await caller.admin("GET", "listeners") == [
        {"id": "anna", **profile},
        {"id": "plain", "display_name": "plain", "email": "plain@example.com"},
    ]
    assert (await caller.get("anna", "/me")).body["display_name"] == "Anna Müller"


async def test_real_response_is_returned_unchanged(spotify: Starter) -> None:
    """Every item equals Spotify's, and every track can be looked up."""
    if not REAL.exists():
        pytest.skip(f"{REAL.name} is missing: the recorded response is not in the repository")
    caller = await spotify(recorded=(("real", REAL),))
    items = json.loads(REAL.read_bytes())["items"]
    assert (await caller.plays("real", limit=50)).body["items"] == items
    ids = [item["track"]["id"] for item in items]
    tracks = (await caller.get("real", "/tracks", ids=",".join(ids))).body["tracks"]
    assert tracks == [item["track"] for item in items]


@pytest.mark.parametrize("text", ["", "[]", '{"items": [{}]}', '{"items": [{"played_at": "x"}]}'])
async def test_file_that_is_no_response_is_refused(
    spotify: Starter, tmp_path: Path, text: str
) -> None:
    """The error names the file."""
    file = tmp_path / "broken.json"
    file.write_text(text)
    with pytest.raises(RecordingError, match=r"broken\.json is no recently-played response"):
        RecordedListener("real", file)
    with pytest.raises(RecordingError, match=r"broken\.json"):
        read_recording("real", file)
    with pytest.raises(StartError, match=r"broken\.json"):
        await spotify(recorded=(("real", file),))
