"""``songswap erase --due``: the users who have to be erased, and by which day."""

from collections.abc import Sequence
from datetime import datetime

from songswap.clock import utc_now
from songswap.pipelines import due, due_notices
from songswap.pipelines.due import Due
from songswap.settings import Settings
from songswap.terminal.console import Rows, as_json, minute, out, print_json

_NOT_LISTED = (
    'No key may list the archive, so users who are gone from "Users" were not looked for. Define'
    " SongSwap_S3_ReadOnly, or SongSwap_S3_Erase."
)


def show_due(settings: Settings, *, in_json: bool) -> None:
    """Bring the list up to date, and print it as a table or JSON."""
    now = utc_now()
    found = due.refresh(settings, now)
    if in_json:
        is_held_back = bool(found.held_back)
        users = [as_json(_row(user, now)) for user in found.users]
        print_json({"users": users, "archived": found.archived, "is_held_back": is_held_back})
        return
    if found.users:
        out.print(_table(found.users, now))
    else:
        out.say("Nobody has to be erased.")
    if found.archived is None:
        out.say(_NOT_LISTED)
    for sentence in due_notices.too_many(found).values():
        out.say(sentence)


def _row(user: Due, now: datetime) -> dict[str, object]:
    return {**user._asdict(), "day": user.day.isoformat(), "days_left": user.days_left(now)}


def _table(users: Sequence[Due], now: datetime) -> Rows:
    table = Rows("user", "reason", "since (UTC)", "due day", "days left")
    table.columns[0].justify = table.columns[4].justify = "right"
    for user in users:
        since, left = minute(user.since.isoformat()), user.days_left(now)
        days = f"{left:,}" if left >= 0 else f"{-left:,} over"
        table.add_row(str(user.user_id), user.reason, since, str(user.day), days)
    return table
