"""The tables of a hand-over: what each row and column is, where it comes from, why it is stored.

The names of the columns are those of the statements in ``songswap/warehouse/user_data.sql``. The
README in the zip is made of these texts, so that no column is without one.
"""

from typing import NamedTuple

_ERASED = "Until you are erased."


class Column(NamedTuple):
    """A column, and what its values mean."""

    name: str
    meaning: str


class Table(NamedTuple):
    """A table of the zip: ``NAME.csv``, and ``NAME_1.jsonl`` and so on with the same rows.

    A JSON Lines file has at most ``rows_of_part`` rows: what an import takes of one file.
    """

    name: str
    is_a_row: str
    origin: str
    why: str
    kept: str
    columns: tuple[Column, ...]
    rows_of_part: int = 100_000


_TRACK_ID = Column("track_id", "Spotify's id of the track: https://open.spotify.com/track/ID")
_TRACK_NAME = Column("track_name", "its name")
_ALBUM = Column("album_name", "its album, where one of your imports named it")

PLAYS = Table(
    "plays",
    "one play of a track",
    "Spotify's list of recently played tracks, requested hourly, and the exports that you gave to"
    " be imported.",
    "It is your listening history, which the platform shows and counts.",
    _ERASED,
    (
        Column("played_at", "when: by the device, the play's start or its end"),
        _TRACK_ID,
        Column("source", "api: Spotify's list had it; export: only an export that you gave had it"),
        Column("ms_played", "how many milliseconds you listened, where an export says it"),
        _TRACK_NAME,
        Column("artist_name", "the names of its artists"),
        _ALBUM,
        Column("duration_ms", "its length in milliseconds; empty where Spotify has not given it"),
    ),
)

TRACKS = Table(
    "tracks",
    "a track that you played",
    "Spotify's description of the track; where Spotify has none, that in exports.",
    "To name and add up what you played. The same rows serve all users who played the track.",
    "Also after you are erased: they do not say who played the track.",
    (
        Column("id", "Spotify's id"),
        Column("name", "its name"),
        Column("artist_name", "its first artist's name"),
        _ALBUM,
        Column("duration_ms", "its length in milliseconds; empty where it is unknown"),
        Column(
            "duration_is_estimated", "true: the longest time that somebody played it to its end"
        ),
        Column("artists", "all its artists: id, name, and whether it is the first one"),
    ),
    # Each artist counts as a row where an import estimates the size of a file.
    rows_of_part=20_000,
)

ARTISTS = Table(
    "artists",
    "an artist of these tracks",
    "Spotify's description of the artist.",
    TRACKS.why.replace("track.", "artist's tracks."),
    "Also after you are erased: they do not say who listened to the artist.",
    (Column("id", "Spotify's id: https://open.spotify.com/artist/ID"), Column("name", "the name")),
)

STREAMS = Table(
    "streams",
    "one row of an export from Spotify that you gave to be imported: a track was played",
    "That export. User names, IP addresses and user agents in it were never stored.",
    "It has plays that the list of recently played tracks lacks, and how each began and ended.",
    _ERASED,
    (
        Column("ended_at", "when it ended, to the second; see to_the_minute"),
        Column("ms_played", "how many milliseconds you listened"),
        Column("played_at", "the row of plays that it is; empty where it is none"),
        Column(
            "outcome",
            "loaded: a play that only the export has; merged: the play is in Spotify's list too;"
            " short, private, unidentified: why it is no play",
        ),
        Column("to_the_minute", "true: from the account data, which has the minute alone"),
        Column("track_id", "Spotify's id of the track; empty for local files"),
        Column("shuffle", "whether shuffle was on"),
        Column("skipped", "whether it was skipped"),
        Column("offline", "whether the device was offline"),
        Column("incognito", "whether it was in a private session"),
        Column("reason_start", "why it began, in Spotify's words"),
        Column("reason_end", "why it ended, in Spotify's words"),
        Column("platform", "the device's system, in Spotify's words"),
        Column("country", "the country where it was played"),
        _TRACK_NAME,
        Column("artist_name", "its artist's name"),
        _ALBUM,
        Column("reported_at", "when a device that had been offline reported it"),
    ),
)

GAPS = Table(
    "gaps",
    "a time in which plays of yours may be missing",
    "Two lists of recently played tracks that did not join: Spotify's list has 50 plays.",
    "So that nobody takes your history for complete where it is not.",
    _ERASED,
    (
        Column("after", "the last known play before it"),
        Column("before", "the first known play after it"),
        Column("found_at", "when it was found"),
        Column("closed_at", "when its plays were found after all; empty while they are missing"),
    ),
)

IMPORTS = Table(
    "imports",
    "an export that you gave to be imported",
    "The import itself.",
    "To say what became of each of its rows.",
    _ERASED,
    (
        Column("import_id", "its name"),
        Column("started_at", "when it began"),
        Column("ended_at", "when it ended"),
        Column("raw_keys", "the objects in the archive that hold its rows"),
        Column("counts", "how many of its rows became what"),
    ),
)

REJECTED_ITEMS = Table(
    "rejected_items",
    "an item that cannot be a play",
    "Spotify's list of recently played tracks, or an export that you gave.",
    "So that nothing is dropped without a reason.",
    _ERASED,
    (
        Column("reason", "why it cannot be a play"),
        Column("played_at", "its own time, as it was written"),
        Column("found_at", "when it came"),
        Column("raw_key", "the object in the archive that holds it"),
    ),
)

TABLES = (PLAYS, TRACKS, ARTISTS, STREAMS, GAPS, IMPORTS, REJECTED_ITEMS)

ACCOUNT = (
    Column("user", "your row in the platform: id, name, e-mail address, Spotify's id of you"),
    Column(
        "grant",
        "your authorization of the app: its state, when you gave it, when it ends, when it was"
        " last renewed, when it is tried again, and what went wrong",
    ),
    Column("tokens", "when Spotify's tokens for the app were stored, and when they expire"),
    Column("exchange", "a renewal of the tokens that is under way, if one is"),
    Column(
        "poll",
        "when your list of recently played tracks was requested and returned last, its newest play,"
        " how much you play in a busy hour, and what went wrong",
    ),
    Column("disconnect", "since when your authorization is gone, why, and when you are erased"),
    Column("erasures", "earlier requests to erase you: when, why, and when they ended"),
)
"""The keys of ``account.json``."""
