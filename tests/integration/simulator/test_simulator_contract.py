"""The simulator against Spotify's own description of its Web API and answers that it really gave.

Both lie outside the repository; where they are not, these tests are skipped.
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
from jsonschema import Draft202012Validator, FormatChecker

DATA = Path(__file__).parents[4] / "shared" / "data"
DESCRIPTION = DATA / "spotify" / "openapi.yml"
pytestmark = pytest.mark.skipif(
    not DESCRIPTION.exists(), reason="Spotify's description of its API is not on this machine"
)

FEED = "/me/player/recently-played"
UNKNOWN = "0000000000000000000000"
WITH_ALL = "user-read-recently-played user-read-email user-read-private"

NULLABLE = {"nullable": True}
AMENDMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "schemas/CursorPagingObject/properties/next": (NULLABLE, "null if none, as its text says"),
    "schemas/CursorPagingObject/properties/cursors": (NULLABLE, "beside no items: web-api 1405"),
    "schemas/PlayHistoryObject/properties/context": (NULLABLE, "in a real answer"),
    "schemas/AlbumBase/properties": ({"is_playable": {"type": "boolean"}}, "in a real answer"),
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
        "development mode tells of no available_markets",
    ),
    "schemas/TimeSignature": ({"minimum": 0}, "0 and 1 are told of noise and speech"),
    "schemas/ErrorObject": ({"required": ["status"]}, "spotify-web-api-php 281: audio features"),
} | {
    f"responses/Many{of}/content/application~json/schema/properties/{name}/items": (
        NULLABLE,
        "an unknown id is told as null in its place",
    )
    for of, name in (
        ("Tracks", "tracks"),
        ("Artists", "artists"),
        ("AudioFeatures", "audio_features"),
    )
}
"""Where the description is wrong, what it should say, and how that is known."""

NOT_IN_THE_PATHS = {400: "BadRequest", 404: "NotFound"}
"""Statuses that the description words, but names at no call."""


class Sample(NamedTuple):
    """A body, and which of the description's responses it has to be."""

    response: str
    body: Any


@cache
def described() -> Any:
    return yaml.load(DESCRIPTION.read_bytes(), yaml.CSafeLoader)


def components(without: str | None = None) -> Any:
    """What the description says, with all amendments but one."""
    said = copy.deepcopy(described()["components"])
    for path, (change, _) in AMENDMENTS.items():
        if path != without:
            way = [step.replace("~", "/") for step in path.split("/")]
            reduce(lambda place, step: place[step], way, said).update(change)
    return said


def closed(schema: Any, said: Any) -> dict[str, Any]:
    """A schema as JSON Schema, without references; what is not described is not allowed."""
    if "$ref" in schema:
        _, _, kind, name = schema["$ref"].split("/")
        whole = closed(said[kind][name], said)
    else:
        properties = {name: closed(of, said) for name, of in schema.get("properties", {}).items()}
        whole = {"required": [], **schema, "properties": properties}
        for part in whole.pop("allOf", ()):
            inner = closed(part, said)
            inner["properties"] |= whole["properties"]
            inner["required"] = [*inner["required"], *whole["required"]]
            whole = {**whole, **inner}
        if whole["properties"]:
            whole["additionalProperties"] = False
        if "items" in whole:
            whole["items"] = closed(whole["items"], said)
    if schema.get("nullable"):
        return {"anyOf": [whole, {"type": "null"}], "properties": {}, "required": []}
    return whole


FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(text: Any) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def wrong(samples: list[Sample], without: str | None = None) -> list[str]:
    """What is not as the description has it."""
    said = components(without)
    validators: dict[str, Draft202012Validator] = {}
    for name in {sample.response for sample in samples}:
        schema = said["responses"][name]["content"]["application/json"]["schema"]
        validators[name] = Draft202012Validator(closed(schema, said), format_checker=FORMATS)
    return [
        f"{sample.response}{error.json_path.removeprefix('$')}: {error.message[:200]}"
        for sample in samples
        for error in validators[sample.response].iter_errors(sample.body)
    ]


def real(name: str) -> Any:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine: real answers lie outside the repository")
    return json.loads(path.read_bytes())


def real_samples() -> list[Sample]:
    """The real answers, long lists cut: what holds for some of their items holds for all."""
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


async def samples_of(caller: Any) -> list[Sample]:
    """Every call of the Web API that there is, and every error, as the description names it."""
    found: list[Sample] = []

    async def ask(path: str, query: Any, status: int, *, token: str | None = "") -> Any:
        if token == "":
            held = caller.tokens.get("listener-0001") or await caller.sign_in(
                "listener-0001", WITH_ALL
            )
            token = caller.tokens.setdefault("listener-0001", held)["access_token"]
        url = path.format(id=query.pop("id", ""))
        reply = await caller.call("GET", f"/v1{url}", token, params=query)
        assert reply.status == status, (path, query, reply.raw)
        assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
        found.append(Sample(response_of(path, status), reply.body))
        return reply.body

    catalogue = caller.running.simulation.world.catalogue
    track, artist = catalogue.track_id(7), catalogue.artist_id(7)
    await ask("/me", {}, 200)
    page = await ask(FEED, {"limit": 8}, 200)
    await ask(FEED, {}, 200)
    await ask(FEED, {"limit": 50, "before": page["cursors"]["before"]}, 200)
    await ask(FEED, {"limit": 5, "after": page["cursors"]["before"]}, 200)
    empty = await ask(FEED, {"before": 1}, 200)
    assert (empty["items"], empty["next"], empty["cursors"]) == ([], None, None)
    several = 200 if caller.running.simulation.mode == "extended" else 403
    heard = (catalogue.features(index) for index in range(catalogue.size))
    speech = next(each["id"] for each in heard if each and each["time_signature"] < 3)
    await ask("/tracks", {"ids": f"{track},{UNKNOWN}"}, several)
    await ask("/artists", {"ids": f"{artist},{UNKNOWN}"}, several)
    await ask("/audio-features", {"ids": f"{track},{speech},{UNKNOWN}"}, several)
    await ask("/audio-features/{id}", {"id": track}, several)
    await ask("/tracks/{id}", {"id": track}, 200)
    await ask("/artists/{id}", {"id": artist}, 200)
    for path in ("/tracks/{id}", "/artists/{id}"):
        await ask(path, {"id": UNKNOWN}, 404)
        await ask(path, {"id": "short"}, 400)
    await ask(FEED, {"limit": 0}, 400)
    await ask(FEED, {"after": 1, "before": 2}, 400)
    for token in (None, "nonsense"):
        await ask("/me", {}, 401, token=token)
    without = (await caller.sign_in("listener-0002", ""))["access_token"]
    await ask(FEED, {}, 403, token=without)
    await caller.admin("POST", "clock", {"advance_s": 3600})
    await ask(FEED, {}, 401)
    caller.tokens.clear()
    caller.running.simulation.recent_requests.extend([caller.running.simulation.clock.now()] * 3000)
    await ask("/artists/{id}", {"id": artist}, 429)
    return found


@pytest.mark.parametrize("mode", ["extended", "development"])
async def test_answers_are_as_described(spotify: Any, mode: str) -> None:
    """Every answer and error has the fields and types that the description has, and no others."""
    caller = await spotify(mode=mode)
    samples = await samples_of(caller)
    assert wrong(samples) == []
    assert {sample.response for sample in samples} >= {
        "CursorPagedPlayHistory", "OneTrack", "OneArtist", "OnePrivateUser",
        "BadRequest", "Unauthorized", "Forbidden", "NotFound", "TooManyRequests",
    }  # fmt: skip


async def test_description_is_amended_only_where_it_is_wrong(spotify: Any) -> None:
    """The amended description holds for the real answers, and no amendment is one too many."""
    assert wrong(real_samples()) == []
    samples = real_samples()
    for mode in ("extended", "development"):
        samples += await samples_of(await spotify(mode=mode))
    for path, (_, reason) in AMENDMENTS.items():
        assert wrong(samples, without=path), f"{path}: {reason}"


def shape(value: Any, path: str = "", found: Any = None) -> dict[str, set[str]]:
    """The JSON types at every path; the items of a list share one."""
    found = defaultdict(set) if found is None else found
    found[path].add(type(value).__name__)
    if isinstance(value, dict):
        for key, inner in value.items():
            shape(inner, f"{path}.{key}", found)
    elif isinstance(value, list):
        for inner in value:
            shape(inner, f"{path}[]", found)
    return found


async def test_feed_has_the_shape_of_real_ones(spotify: Any) -> None:
    """The same fields of the same types, null where real ones are null, and nothing besides."""
    caller = await spotify()
    told: dict[str, set[str]] = defaultdict(set)
    for number in range(1, 9):
        shape((await caller.plays(f"listener-{number:04d}", limit=50)).body, "", told)
    truth: dict[str, set[str]] = defaultdict(set)
    for name in ("recently_played_real_response.json", "spotify/recently_played_tracks.json"):
        body = real(name)
        shape(body, "", truth)
        href = body["next"].partition("?")[0]
        assert body["next"].startswith(
            f"{href}?{'after' if 'after=' in body['next'] else 'before'}"
        )
        assert list(body) == ["items", "next", "cursors", "limit", "href"]
    truth[".next"].add("NoneType")  # described, and seen in web-api 1405
    assert dict(told) == dict(truth)
    body = (await caller.plays("listener-0001", limit=48)).body
    assert list(body) == ["items", "next", "cursors", "limit", "href"]
    assert body["href"].endswith(f"/v1{FEED}?limit=48")


async def test_metadata_has_the_shape_of_real_one(spotify: Any) -> None:
    """Artists, features and tracks, and the body of a 429; only a market brings more fields."""
    caller = await spotify(rate_limit=3)
    catalogue = caller.running.simulation.world.catalogue
    told: dict[str, dict[str, set[str]]] = {}
    for path, name, of in (
        ("/artists", "artists", catalogue.artist_id),
        ("/audio-features", "audio_features", catalogue.track_id),
        ("/tracks", "tracks", catalogue.track_id),
    ):
        ids = ",".join(of(index) for index in range(50))
        body = (await caller.get("listener-0001", path, ids=ids)).body
        told[name] = dict(shape([each for each in body[name] if each is not None]))
    artists = [real("spotify/artist.json"), *real("spotify/top_artists.json")["items"]]
    assert told["artists"] == dict(shape(artists))
    assert told["audio_features"] == dict(shape([real("spotify/audio_features.json")]))
    tracks = dict(shape(real("spotify/top_tracks.json")["items"]))
    assert told["tracks"].pop("[].preview_url") == {"str", "NoneType"}
    assert tracks.pop("[].preview_url") == {"NoneType"}
    by_market = {
        "[].is_playable",
        "[].album.is_playable",
        "[].restrictions",
        "[].restrictions.reason",
    }
    assert told["tracks"] == {path: of for path, of in tracks.items() if path not in by_market}
    refused = await caller.get("listener-0001", "/me")
    assert (refused.status, refused.body) == (429, real("spotify/rate_limit.json"))
    assert refused.headers["Retry-After"].isdecimal()
