"""All that exists under one seed: the catalogue, the listeners and their plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from songswap.dev.simulator.catalogue import MusicCatalogue
from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.ident import Ids
from songswap.dev.simulator.listener import Listener
from songswap.dev.simulator.metadata import MetadataLookup, Mode
from songswap.dev.simulator.play import SimulatedPlay
from songswap.dev.simulator.recorded import RecordedListener, read_recording

AnyListener = Listener | RecordedListener

MIN_TRACKS = 2_000
TRACKS_PER_USER = 10


class SimulatedWorld:
    """A catalogue, `users` listeners whose first plays begin at `born` (ms), and recordings.

    Recorded listeners come after the simulated ones.
    """

    def __init__(
        self, seed: int, users: int, born: int, recordings: Mapping[str, Path] | None = None
    ) -> None:
        self._seed = seed
        self._born = born
        self._playlist_ids = Ids(seed, "playlist")
        self.catalogue = MusicCatalogue(seed, max(MIN_TRACKS, TRACKS_PER_USER * users))
        self.listeners: dict[str, AnyListener] = {}
        self._numbered = 0
        self.add(users)
        recorded = [read_recording(name, file) for name, file in (recordings or {}).items()]
        feeds = [recording for recording in recorded if isinstance(recording, RecordedListener)]
        self.listeners |= {listener.id: listener for listener in feeds}
        self.metadata = MetadataLookup(seed, self.catalogue, recorded)
        self._context = lru_cache(65_536)(self._encode_context)

    def add(self, count: int) -> list[str]:
        """Add listeners with the next numbers, as old as the first ones; return their ids."""
        added = [
            Listener(self._seed, number, self._born, self.catalogue)
            for number in range(self._numbered + 1, self._numbered + count + 1)
        ]
        self._numbered += count
        self.listeners |= {listener.id: listener for listener in added}
        return [listener.id for listener in added]

    def track_id(self, listener: AnyListener, play: SimulatedPlay) -> str | None:
        """Return the id of the played track, or None if a recording has none."""
        if isinstance(listener, RecordedListener):
            return listener.track_id(play)
        return self.catalogue.track_id(play.track)

    def items(self, listener: AnyListener, plays: Sequence[SimulatedPlay], mode: Mode) -> bytes:
        """Return plays as the encoded items of recently-played, separated by commas."""
        if isinstance(listener, RecordedListener):
            return b",".join(listener.items[play.track] for play in plays)
        return b",".join(
            b'{"track":%b,"played_at":"%b","context":%b}'
            % (
                self.metadata.encoded_track(play.track, mode),
                iso(play.played_at).encode(),
                self._context(play.context),
            )
            for play in plays
        )

    def _encode_context(self, context: tuple[str, int] | None) -> bytes:
        if context is None:
            return b"null"
        kind, number = context
        if kind == "collection":
            owner = f"listener-{number:04d}"
            return msgspec.json.encode(
                {
                    "type": kind,
                    "href": "https://api.spotify.com/v1/me/tracks",
                    "external_urls": {"spotify": "https://open.spotify.com/collection/tracks"},
                    "uri": f"spotify:user:{owner}:collection",
                }
            )
        ids = {
            "album": self.catalogue.album_id,
            "artist": self.catalogue.artist_id,
            "playlist": self._playlist_ids.of,
        }
        ident = ids[kind](number)
        return msgspec.json.encode(
            {
                "type": kind,
                "href": f"https://api.spotify.com/v1/{kind}s/{ident}",
                "external_urls": {"spotify": f"https://open.spotify.com/{kind}/{ident}"},
                "uri": f"spotify:{kind}:{ident}",
            }
        )
