"""The simulator's responses agree with Spotify's OpenAPI description and with real responses.

Neither is in the repository; without them these tests are skipped.
"""

import copy
import json
from collections import defaultdict
from datetime import datetime
from functools import cache, reduce
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from integration.simulator.caller import Caller, Starter
from jsonschema import Draft202012Validator, FormatChecker

DATA = Path(__file__).parents[4] / "shared" / "data"
DESCRIPTION = DATA / "spotify" / "openapi.yml"
pytestmark = pytest.mark.skipif(
    not DESCRIPTION.exists(), reason="Spotify's description of its API is not on this machine"
)

FEED = "/me/player/recently-played"
UNKNOWN = "0000000000000000000000"
WITH_ALL = "user-read-recently-played user-read-email user-read-private"

NULLABLE: dict[str, Any] = {"nullable": True}
AMENDMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "schemas/CursorPagingObject/properties/next": (NULLABLE, "null if none, as its text says"),
    "schemas/CursorPagingObject/properties/cursors": (NULLABLE, "beside no items: web-api 1405"),
    "schemas/PlayHistoryObject/properties/context": (NULLABLE, "in a real response"),
    "schemas/AlbumBase/properties": ({"is_playable": {"type": "boolean"}}, "in a real response"),
    "schemas/AlbumBase": (
        {
            "required": [
                "album_type",
                "external_urls",
                "href",
                "id",
                "images",
                "name",
                "type",
                "uri",
            ]
        },
        "development mode has no available_markets",
    ),
    "schemas/TimeSignature": ({"minimum": 0}, "noise and speech have 0 and 1"),
    "schemas/ErrorObject": ({"required": ["status"]}, "spotify-web-api-php 281: audio features"),
} | {
    f"responses/Many{of}/content/application~json/schema/properties/{name}/items": (
        NULLABLE,
        "an unknown id has null in its place",
    )
    for of, name in (
        ("Tracks", "tracks"),
        ("Artists", "artists"),
        ("AudioFeatures", "audio_features"),
    )
}
"""Where the description is wrong, what is right, and how that is known."""

NOT_IN_THE_PATHS = {400: "BadRequest", 404: "NotFound"}
"""Statuses that the description defines, but for no call."""


class Sample(NamedTuple):
    """A body, and the name of the description's response that it has to match."""

    response: str
    body: Any


@cache
def described() -> Any:
    return yaml.load(DESCRIPTION.read_bytes(), yaml.CSafeLoader)


def components(without: str | None = None) -> Any:
    """Return the description's components, with all amendments but one."""
    amended = copy.deepcopy(described()["components"])
    for path, (change, _) in AMENDMENTS.items():
        if path != without:
            keys = [key.replace("~", "/") for key in path.split("/")]
            reduce(lambda parent, key: parent[key], keys, amended).update(change)
    return amended


def closed(schema: Any, defined: Any) -> dict[str, Any]:
    """Return a schema as JSON Schema without references, which allows only described fields."""
    if "$ref" in schema:
        _, _, kind, name = schema["$ref"].split("/")
        result = closed(defined[kind][name], defined)
    else:
        fields = schema.get("properties", {})
        properties = {name: closed(field, defined) for name, field in fields.items()}
        result = {"required": [], **schema, "properties": properties}
        for part in result.pop("allOf", ()):
            inner = closed(part, defined)
            inner["properties"] |= result["properties"]
            inner["required"] = [*inner["required"], *result["required"]]
            result = {**result, **inner}
        if result["properties"]:
            result["additionalProperties"] = False
        if "items" in result:
            result["items"] = closed(result["items"], defined)
    if schema.get("nullable"):
        return {"anyOf": [result, {"type": "null"}], "properties": {}, "required": []}
    return result


FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]  # no types
def is_moment(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def errors_of(samples: list[Sample], without: str | None = None) -> list[str]:
    """Return where samples do not match the description."""
    defined = components(without)
    validators: dict[str, Draft202012Validator] = {}
    for name in {sample.response for sample in samples}:
        schema = defined["responses"][name]["content"]["application/json"]["schema"]
        validators[name] = Draft202012Validator(closed(schema, defined), format_checker=FORMATS)
    return [
        f"{sample.response}{error.json_path.removeprefix('$')}: {error.message[:200]}"
        for sample in samples
        for error in validators[sample.response].iter_errors(sample.body)
    ]


def real(name: str) -> Any:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is missing: real responses are not in the repository")
    return json.loads(path.read_bytes())


def real_samples() -> list[Sample]:
    """Return the real responses, of long lists every sixth item."""
    feeds = ("recently_played_real_response.json", "spotify/recently_played_tracks.json")
    found = [Sample("CursorPagedPlayHistory", real(name)) for name in feeds]
    found.append(Sample("OneArtist", real("spotify/artist.json")))
    found.append(Sample("OneAudioFeatures", real("spotify/audio_features.json")))
    found.append(Sample("TooManyRequests", real("spotify/rate_limit.json")))
    for name, response in (("top_tracks", "OneTrack"), ("top_artists", "OneArtist")):
        found += [Sample(response, item) for item in real(f"spotify/{name}.json")["items"][::6]]
    return found


def response_of(path: str, status: int) -> str:
    call = described()["paths"][path]["get"]["responses"].get(str(status))
    return call["$ref"].split("/")[-1] if call else NOT_IN_THE_PATHS[status]


async def samples_of(caller: Caller) -> list[Sample]:
    """Return a sample of every call of the Web API, and of every error."""
    found: list[Sample] = []

    async def get(path: str, query: Any, status: int, *, token: str | None = "") -> Any:
        if token == "":
            tokens = caller.tokens.get("listener-0001") or await caller.sign_in(
                "listener-0001", WITH_ALL
            )
            token = caller.tokens.setdefault("listener-0001", tokens)["access_token"]
        url = path.format(id=query.pop("id", ""))
        reply = await caller.call("GET", f"/v1{url}", token, params=query)
        assert reply.status == status, (path, query, reply.raw)
        assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
        found.append(Sample(response_of(path, status), reply.body))
        return reply.body

    catalogue = caller.running.simulation.world.catalogue
    track, artist = catalogue.track_id(7), catalogue.artist_id(7)
    await get("/me", {}, 200)
    page = await get(FEED, {"limit": 8}, 200)
    await get(FEED, {}, 200)
    await get(FEED, {"limit": 50, "before": page["cursors"]["before"]}, 200)
    await get(FEED, {"limit": 5, "after": page["cursors"]["before"]}, 200)
    empty = await get(FEED, {"before": 1}, 200)
    assert (empty["items"], empty["next"], empty["cursors"]) == ([], None, None)
    batch = 200 if caller.running.simulation.mode == "extended" else 403
    everything = (catalogue.features(index) for index in range(catalogue.size))
    speech = next(track["id"] for track in everything if track and track["time_signature"] < 3)
    await get("/tracks", {"ids": f"{track},{UNKNOWN}"}, batch)
    await get("/artists", {"ids": f"{artist},{UNKNOWN}"}, batch)
    await get("/audio-features", {"ids": f"{track},{speech},{UNKNOWN}"}, batch)
    await get("/audio-features/{id}", {"id": track}, batch)
    await get("/tracks/{id}", {"id": track}, 200)
    await get("/artists/{id}", {"id": artist}, 200)
    for path in ("/tracks/{id}", "/artists/{id}"):
        await get(path, {"id": UNKNOWN}, 404)
        await get(path, {"id": "short"}, 400)
    await get(FEED, {"limit": 0}, 400)
    await get(FEED, {"after": 1, "before": 2}, 400)
    for token in (None, "nonsense"):
        await get("/me", {}, 401, token=token)
    without = (await caller.sign_in("listener-0002", ""))["access_token"]
    await get(FEED, {}, 403, token=without)
    await caller.admin("POST", "clock", {"advance_s": 3600})
    await get(FEED, {}, 401)
    caller.tokens.clear()
    for _ in range(3000):
        caller.running.simulation.count_request()
    await get("/artists/{id}", {"id": artist}, 429)
    return found


@pytest.mark.parametrize("mode", ["extended", "development"])
async def test_responses_match_the_description(spotify: Starter, mode: str) -> None:
    """Every response and error has exactly the fields and types of the description."""
    caller = await spotify(mode=mode)
    samples = await samples_of(caller)
    assert errors_of(samples) == []
    assert {sample.response for sample in samples} >= {
        "CursorPagedPlayHistory", "OneTrack", "OneArtist", "OnePrivateUser",
        "BadRequest", "Unauthorized", "Forbidden", "NotFound", "TooManyRequests",
    }  # fmt: skip


async def test_description_is_amended_only_where_it_is_wrong(spotify: Starter) -> None:
    """Real responses match the amended description, and some sample needs each amendment."""
    assert errors_of(real_samples()) == []
    samples = real_samples()
    for mode in ("extended", "development"):
        samples += await samples_of(await spotify(mode=mode))
    for path, (_, reason) in AMENDMENTS.items():
        assert errors_of(samples, without=path), f"{path}: {reason}"


def shape(
    value: Any, path: str = "", found: dict[str, set[str]] | None = None
) -> dict[str, set[str]]:
    """Return the JSON types at every path; the items of a list share a path."""
    found = {} if found is None else found
    found.setdefault(path, set()).add(type(value).__name__)
    if isinstance(value, dict):
        for key, inner in value.items():
            shape(inner, f"{path}.{key}", found)
    elif isinstance(value, list):
        for inner in value:
            shape(inner, f"{path}[]", found)
    return found


async def test_feed_has_the_shape_of_real_ones(spotify: Starter) -> None:
    """It has the same fields of the same types, and null only where real ones have it."""
    caller = await spotify()
    simulated: dict[str, set[str]] = defaultdict(set)
    for number in range(1, 9):
        shape((await caller.plays(f"listener-{number:04d}", limit=50)).body, "", simulated)
    expected: dict[str, set[str]] = defaultdict(set)
    for name in ("recently_played_real_response.json", "spotify/recently_played_tracks.json"):
        body = real(name)
        shape(body, "", expected)
        href = body["next"].partition("?")[0]
        assert body["next"].startswith(
            f"{href}?{'after' if 'after=' in body['next'] else 'before'}"
        )
        assert list(body) == ["items", "next", "cursors", "limit", "href"]
    expected[".next"].add("NoneType")  # described, and seen in web-api 1405
    assert dict(simulated) == dict(expected)
    body = (await caller.plays("listener-0001", limit=48)).body
    assert list(body) == ["items", "next", "cursors", "limit", "href"]
    assert body["href"].endswith(f"/v1{FEED}?limit=48")


async def test_metadata_has_the_shape_of_real_metadata(spotify: Starter) -> None:
    """So do artists, features, tracks and the body of a 429; only a market adds fields."""
    caller = await spotify(rate_limit=3)
    catalogue = caller.running.simulation.world.catalogue
    simulated: dict[str, dict[str, set[str]]] = {}
    for path, name, id_of in (
        ("/artists", "artists", catalogue.artist_id),
        ("/audio-features", "audio_features", catalogue.track_id),
        ("/tracks", "tracks", catalogue.track_id),
    ):
        ids = ",".join(id_of(index) for index in range(50))
        body = (await caller.get("listener-0001", path, ids=ids)).body
        simulated[name] = dict(shape([item for item in body[name] if item is not None]))
    artists = [real("spotify/artist.json"), *real("spotify/top_artists.json")["items"]]
    assert simulated["artists"] == dict(shape(artists))
    assert simulated["audio_features"] == dict(shape([real("spotify/audio_features.json")]))
    tracks = dict(shape(real("spotify/top_tracks.json")["items"]))
    assert simulated["tracks"].pop("[].preview_url") == {"str", "NoneType"}
    assert tracks.pop("[].preview_url") == {"NoneType"}
    by_market = {
        "[].is_playable", "[].album.is_playable", "[].restrictions", "[].restrictions.reason",
    }  # fmt: skip
    assert simulated["tracks"] == {
        path: types for path, types in tracks.items() if path not in by_market
    }
    refused = await caller.get("listener-0001", "/me")
    assert (refused.status, refused.body) == (429, real("spotify/rate_limit.json"))
    assert refused.headers["Retry-After"].isdecimal()
