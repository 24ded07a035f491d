"""What people write into the params of a DAG's form."""

from datetime import UTC, datetime

import pytest

from songswap.errors import SettingsError
from songswap.orchestration.params import parse_hour, parse_users


@pytest.mark.parametrize(
    ("given", "users"),
    [
        (None, None),
        ([], None),
        ("", None),
        (" , ", None),
        ([12, 13], [12, 13]),
        ("12", [12]),
        ("12, 13", [12, 13]),
        (" 12,13 14\n", [12, 13, 14]),
        ("0", [0]),
    ],
)
def test_users_are_a_text_or_a_list(given: str | list[int] | None, users: list[int] | None) -> None:
    """Empty means all, whatever is empty."""
    assert parse_users(given) == users


@pytest.mark.parametrize("given", ["anna", "12; 13", "-1", "1.5", "[12]", "\u0661\u0662", "12-14"])
def test_what_is_no_user_is_named(given: str) -> None:
    """The sentence shows how ids are written, and that nothing was done."""
    with pytest.raises(SettingsError, match=r"is not the id of a user.*12, 13.*Nothing was done"):
        parse_users(given)


@pytest.mark.parametrize(
    "given",
    [
        "2026-11-22T08",
        " 2026-11-22T08 ",
        "2026-11-22 08:00",
        "2026-11-22T08:00:00.000Z",
        "2026-11-22T09:00:00+01:00",
        "2026-11-22T00:00:00-08:00",
    ],
)
def test_hour_may_be_written_in_several_ways(given: str) -> None:
    """As in the form's example, or as programs write it; without a zone it is UTC."""
    assert parse_hour(given) == datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_day_is_its_first_hour() -> None:
    """No text is no bound."""
    assert parse_hour("2026-11-22") == datetime(2026, 11, 22, tzinfo=UTC)
    assert parse_hour(None) is parse_hour("") is parse_hour("  ") is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("tomorrow", r"'tomorrow' is not an hour: write 2026-11-22T08"),
        ("2026-13-45", r"is not an hour"),
        ("22.11.2026", r"is not an hour"),
        ("2026-11-22T08:30", r"not a whole hour.*write 2026-11-22T08\."),
        ("2026-11-22T08:00+05:30", r"not a whole hour.*write 2026-11-22T02\."),
    ],
)
def test_what_is_no_hour_is_named(given: str, sentence: str) -> None:
    """The sentence shows how an hour is written, and that nothing was done."""
    with pytest.raises(SettingsError, match=sentence + r".*Nothing was done"):
        parse_hour(given)
