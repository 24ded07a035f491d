"""A bucket's lifecycle policy against the setting for how long raw responses are kept."""

from typing import Any

import pytest

from songswap.checks.sanity.s3_expiry import Rule, judge
from songswap.errors import CheckFailed

KEPT = "Raw responses and exports are kept"


def rule(prefix: str | None = "history/spotify/", days: int = 30, **more: Any) -> dict[str, Any]:
    """A rule that deletes after some days, and older versions a day later."""
    return {
        "ID": "one",
        "Status": "Enabled",
        **({} if prefix is None else {"Filter": {"Prefix": prefix}}),
        "Expiration": {"Days": days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        **more,
    }


def said(keep_days: int | None, *rules: dict[str, Any]) -> str:
    """What the check says, good or bad."""
    try:
        return judge([Rule.parse(each) for each in rules], keep_days)
    except CheckFailed as failed:
        return f"Failed: {failed}"


@pytest.mark.parametrize(
    "rules",
    [
        [rule()],
        [rule("history/")],
        [rule("")],
        [rule(None)],
        [rule(None, Filter={})],
        [rule(None, Prefix="history/spotify/")],
        [rule(None, Filter={"And": {"Prefix": "history/spotify/"}})],
        # The shortest time counts, and a rule for versions may be one of its own.
        [rule(), rule("history/", 400)],
        [
            rule(NoncurrentVersionExpiration={}),
            {**rule(), "Expiration": {"ExpiredObjectDeleteMarker": True}},
        ],
        [rule(), rule("tests/", 1)],
        [rule(), rule("history/spotify/user1/", 31)],
        [rule(), rule(days=1, Status="Disabled")],
    ],
)
def test_policy_that_does_what_the_setting_says(rules: list[dict[str, Any]]) -> None:
    """Wherever its prefix is written, and whatever else the bucket deletes or not."""
    assert said(30, *rules).startswith("Raw responses are deleted after 30 days, as SONGSWAP_KEEP")


MISSING = "no rule deletes all of history/spotify/ by then"


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ([], f"{MISSING}; older versions stay for ever"),
        ([rule(days=29)], "the rule 'one' deletes all of history/spotify/ after 29 days"),
        (
            [rule(days=31)],
            f"{MISSING}; the rule 'one' deletes all of history/spotify/ after 31 days",
        ),
        ([rule(Status="Disabled")], f"{MISSING}; disabled: 'one'"),
        (
            [rule("history/spotify/user1")],
            f"{MISSING}; the rule 'one' deletes all of history/spotify/user1",
        ),
        (
            [rule("history/spotify/user1", 5), rule()],
            "deletes all of history/spotify/user1 after 5 days",
        ),
        ([rule("history/spotif", 5), rule()], "deletes all of history/spotif after 5 days"),
        ([rule("history/export/")], MISSING),
        ([rule("spotify/")], MISSING),
        (
            [rule(None, Filter={"And": {"Prefix": "history/spotify/", "ObjectSizeLessThan": 9}})],
            f"{MISSING}; the rule 'one' deletes some of history/spotify/ after 30 days",
        ),
        (
            [rule(None, Filter={"Tag": {"Key": "a", "Value": "b"}})],
            f"{MISSING}; the rule 'one' deletes some of the bucket",
        ),
        (
            [rule(), rule(Expiration={"Date": "2027-01-01"})],
            "the rule 'one' deletes all of history/spotify/ on a date",
        ),
        ([rule(NoncurrentVersionExpiration={})], "older versions stay for ever"),
        (
            [rule(NoncurrentVersionExpiration={}), rule(Status="Disabled", Expiration={})],
            "older versions stay for ever",
        ),
        (
            [rule(NoncurrentVersionExpiration={"NoncurrentDays": 90})],
            "older versions stay for 90 days more",
        ),
        (
            [rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 2})],
            "older versions stay for ever",
        ),
    ],
)
def test_policy_that_does_something_else(rules: list[dict[str, Any]], problem: str) -> None:
    """Each difference is named, with what to do."""
    sentence = said(30, *rules)
    assert sentence.startswith("Failed: SONGSWAP_KEEP_RAW_DAYS is 30, and the bucket's lifecycle")
    assert problem in sentence
    assert sentence.endswith("or change SONGSWAP_KEEP_RAW_DAYS.")
    assert (MISSING in sentence) == (MISSING in problem)


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [rule(Status="Disabled")],
        [rule("tests/")],
        [rule(None, Prefix="tests/")],
        # It deletes nothing that is not deleted already.
        [rule(Expiration={})],
    ],
)
def test_everything_is_kept_without_the_setting(rules: list[dict[str, Any]]) -> None:
    assert said(None, *rules).startswith(KEPT)


@pytest.mark.parametrize(
    "deleting",
    [
        rule(),
        rule(None),
        rule("history/export/user1/", 9000),
        rule(Expiration={"Date": "2027-01-01"}),
        rule(None, Filter={"Tag": {"Key": "a", "Value": "b"}}),
    ],
)
def test_nothing_is_deleted_unnoticed(deleting: dict[str, Any]) -> None:
    """Without the setting, any rule that deletes responses or exports is named."""
    sentence = said(None, deleting)
    assert sentence.startswith("Failed: The bucket deletes raw data, and SONGSWAP_KEEP_RAW_DAYS")
    assert "the rule 'one' deletes" in sentence


def test_exports_are_said_separately() -> None:
    """They are not raw responses, and may stay for another time."""
    assert said(30, rule()).endswith("; exports are kept.")
    assert said(30, rule(), rule("history/export/", 900)).endswith(
        "; of exports, the rule 'one' deletes all of history/export/ after 900 days."
    )


def test_names_from_outside_are_shown_safely() -> None:
    """Control characters are escaped, and the length is limited."""
    sentence = said(None, rule(ID="a\x1b[31m\n" + "b" * 200))
    assert "\\x1b[31m\\nbbb" in sentence
    assert "b" * 100 not in sentence
