"""Sentences about users who have to be erased."""

from datetime import date

from songswap.alerts.due_notices import came_back, due_now, due_soon, too_many_gone

DAY = date(2026, 11, 27)


def test_users_are_named_by_id_and_day() -> None:
    """With what to do, which differs where the pipeline erases by itself."""
    one = due_soon([12], DAY, by_itself=False)
    assert one.startswith("User 12 disconnected, and has to be erased by 2026-11-27: `songswap")
    two = due_soon([12, 31], DAY, by_itself=True)
    assert two.startswith("Users 12 and 31 disconnected, and have to be erased by 2026-11-27:")
    assert "`erase_due_users` erases them tomorrow" in two
    assert due_now([5]).startswith("User 5 has to be erased today")


def test_long_list_is_cut() -> None:
    """A message has a limited length; the command shows the others."""
    sentence = due_now(list(range(1, 1_222)))
    assert "Users 1, 2, 3," in sentence
    assert "19, 20 and 1,201 more have" in sentence


def test_too_many_gone_says_what_to_look_at() -> None:
    """The database first, then the table."""
    sentence = too_many_gone(1_200, 4_000)
    assert sentence.startswith('1,200 of the 4,000 users in the archive are gone from "Users"')
    assert "none of them is erased by itself" in sentence
    assert "SongSwap_RDS leads to the right database" in sentence


def test_what_came_back_is_counted() -> None:
    """With the user, and when the erasure had ended."""
    sentence = came_back(7, 2, DAY)
    assert sentence.startswith("2 objects of user 7 were in S3 again, whose erasure had ended on 2")
    assert came_back(7, 1, DAY).startswith("1 object of user 7 was in S3 again")
