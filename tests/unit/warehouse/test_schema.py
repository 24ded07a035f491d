"""Which schema is taken for the platform's: pure."""

import pytest

from songswap.errors import WarehouseRefused
from songswap.warehouse.schema import Candidates, choose, quoted

DEFAULT = '"$user", public'
EXISTING = ["public", "songswap", "music", "me", "Odd, name"]


def chosen(
    whole: list[str], begun: list[str] | None = None, path: str = DEFAULT, role: str = "me"
) -> str:
    return choose(Candidates(path, role, whole, begun or whole, EXISTING))


def test_the_first_of_the_path_that_has_the_tables() -> None:
    """The login's own search path decides between several."""
    assert chosen(["music", "public"]) == "public"
    assert chosen(["music", "public"], path="music, public") == "music"
    assert chosen(["music", "public"], path="public,MUSIC") == "public"
    assert chosen(["music", "public"], path="other, MUSIC") == "music"
    assert chosen(["me", "public"]) == "me"
    assert chosen(["Odd, name", "music"], path='"Odd, name", music') == "Odd, name"


def test_the_only_one_that_has_the_tables() -> None:
    """A schema outside the path is found too, where it is the only one."""
    assert chosen(["music"]) == "music"
    assert chosen(["music"], ["music", "public"]) == "music", "public has begun but lacks History"
    assert chosen([], ["music"]) == "music"


def test_several_outside_the_path() -> None:
    """Nothing is guessed; the sentence says how to choose."""
    with pytest.raises(WarehouseRefused) as refused:
        chosen(["a", "B"], path="public")
    text = str(refused.value)
    for words in ("(a, B)", "ALTER ROLE me SET search_path = a", "-c search_path=a"):
        assert words in text


def test_where_they_are_made() -> None:
    """An empty database gets them in the first schema that somebody has named, else in public."""
    assert chosen([]) == "public"
    assert chosen([], path="music, public") == "music"
    assert chosen([], path="nowhere, music") == "music"
    assert chosen([], path="songswap, public") == "public"
    assert chosen([], path='"$user"') == "public", "a role's own schema is in the path by default"
    assert chosen([], path="") == "public"


def test_names_are_quoted_where_they_need_it() -> None:
    """As PostgreSQL reads them."""
    assert quoted("music_2") == "music_2"
    assert quoted("Music") == '"Music"'
    assert quoted('a"b') == '"a""b"'
