"""Names of tracks, artists and people, in many scripts; a few are very long."""

from __future__ import annotations

from random import Random


def _words(text: str) -> list[str]:
    return text.split()


_FIRST = _words(
    "Midnight Golden Paper Electric Quiet Neon Velvet Broken Silver Distant Wild Crystal Lonely "
    "Summer Burning Northern Hollow Sacred Tiny Endless Café Über Déjà Señorita Ночной Белый "
    "夜の 青い 푸른 새벽의 نور Αστέρι Fjärran Żółty Çelik "
)
_SECOND = _words(
    "River Heart City Ghost Garden Machine Letters Ocean Mirror Tiger Radio Highway Echo Fire "
    "Parade Winter Signal Daughter Shadow Motel Corazón Straße Forêt Звезда "
    "Дождь 雨 電車 바다 꿈 قمر "
    "θάλασσα Himmel Księżyc Gökyüzü "
)
_TAIL = (
    *[""] * 5, " - Remastered 2011", " (Live)", ' (12" Mix)', " (feat. Someone Else)",
    " - Radio Edit", ", Pt. 2", "!", " 🌙",
)  # fmt: skip
_GIVEN = _words(
    "Ana Ben Chloé Dmitri Elif Farah Gus Hana Ivo Jürgen Kofi Lena Mei Noor Óscar Priya Quinn Rosa "
    "Søren Tomás Uma Viktor Wei Xenia Yuki Zoë "
)
_FAMILY = _words(
    "Adler Baptiste Chen Diaz Eriksen Fofana García Hughes Ito Jansen Kim López Müller Novák "
    "Okafor Petrov Quispe Rossi Şahin Tanaka Underwood Vega Wójcik Xu Yücel Zhou "
)
_GENRES = _words(
    "pop rock jazz techno house ambient soul funk metal punk folk country reggae ska blues disco "
    "trap grime shoegaze bossa-nova k-pop j-pop afrobeats cumbia baroque opera lo-fi drum-and-bass "
)
_FORMS = ("Symphony", "Concerto", "Sonata", "Quartet", "Cantata", "Requiem")
_TEMPI = ("Allegro ma non troppo, un poco maestoso", "Adagio molto e cantabile", "Presto")
_ENSEMBLES = ("Chamber Orchestra", "Philharmonic Choir", "Boys' Choir", "Radio Symphony Orchestra")

_LONG_TITLES = 1 / 500
_LONG_ARTISTS = 1 / 1000


def title(rng: Random) -> str:
    """Return a name of a track or album; one in 500 is classical and exceeds 240 characters."""
    if rng.random() < _LONG_TITLES:
        return _classical(rng)
    quote = rng.random()
    words = f"{rng.choice(_FIRST)} {rng.choice(_SECOND)}"
    if quote < 0.02:
        words = f'"{words}"'
    elif quote < 0.05:
        words = f"{rng.choice(_GIVEN)}'s {words}"
    return words + rng.choice(_TAIL)


def artist(rng: Random) -> str:
    """Return a name of an artist; one in 1,000 exceeds 120 characters."""
    if rng.random() < _LONG_ARTISTS:
        return " & ".join(f"{rng.choice(_FAMILY)} {name} of the City" for name in _ENSEMBLES)
    form = rng.random()
    if form < 0.4:
        return person(rng)
    if form < 0.7:
        return f"The {rng.choice(_FIRST)} {rng.choice(_SECOND)}s"
    if form < 0.8:
        return f"{rng.choice(_GIVEN)} & The {rng.choice(_SECOND)}s"
    return f"{rng.choice(_FIRST)}{rng.choice(_SECOND).lower()}"


def person(rng: Random) -> str:
    """Return a name of a person, of at most 20 characters."""
    return f"{rng.choice(_GIVEN)} {rng.choice(_FAMILY)}"


def genres(rng: Random) -> list[str]:
    """Return one to four different genres; none for one artist in four."""
    return [] if rng.random() < 0.25 else rng.sample(_GENRES, rng.randint(1, 4))


def _classical(rng: Random) -> str:
    number, key = rng.randint(1, 9), rng.choice("ABCDEFG")
    movements = "; ".join(f"{roman}. {rng.choice(_TEMPI)}" for roman in ("I", "II", "III", "IV"))
    return (
        f"{rng.choice(_FORMS)} No. {number} in {key}-Flat Major, Op. {rng.randint(10, 140)}, "
        f'"{rng.choice(_FIRST)} {rng.choice(_SECOND)}" (Arr. by {person(rng)} for Two Pianos, '
        f"Woodwinds, Mixed Choir and Full Orchestra from the Autograph Score): {movements} "
        f"(Recorded Live at the Great Hall, Complete with the Composer's Own Cadenza)"
    )
