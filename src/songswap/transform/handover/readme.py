"""The README in a hand-over: every file and column, and what is not in it."""

import textwrap
from collections.abc import Mapping
from datetime import datetime

from songswap.transform.handover.lines import iso
from songswap.transform.handover.tables import ACCOUNT, TABLES, Column, Table

_INTRODUCTION = """\
# Your data

What the tables of SongSwap's listening history pipeline have of you, user {user_id}, as it was at
{created_at}. All files show that one moment. Times are in UTC. What is stored elsewhere, and is not
in here, is listed at the end.

- `NAME.csv` opens in any spreadsheet. It is in UTF-8, with commas. A text that a spreadsheet would
  take for a formula (it begins with = + - or @) has an apostrophe before it.
- `NAME_1.jsonl` and so on have the same rows as JSON, one a line, each text as it is stored. They
  are for programs.
- `manifest.json` has the number of rows of each file. By it `songswap import` recognizes this zip,
  and reads it back.
- `listenbrainz/` has your plays in the form in which ListenBrainz exports and imports: give this
  zip to its importer as it is. {listens_left_out:,} plays are not in it, because their track or
  artist has no name yet.
- `spotify/` has the rows of tracks that you gave from Spotify's exports, in Spotify's form, which
  many programs read. Podcasts, audiobooks, videos, and rows that an export has twice, were never
  stored. Plays that only Spotify's list of recently played tracks had are not in it either: nobody
  knows for how long you listened to them.
"""

_MISSING = """\
## What is not in here

- **The raw responses** of which all of this was made. They are in the archive, the bucket
  `{bucket}` in S3, below `history/spotify/user{user_id}/`, and the rows of exports that you gave
  below `history/export/user{user_id}/`: ask the operator for them. They stay until you are erased,
  or until the bucket's own rules remove them.
- **The exports as you gave them**, with your profile, e-mail address and IP addresses. They lie in
  the inbox of exports, or where the operator put them, until the operator deletes them.
- **Tokens and passwords.** Spotify's tokens for the app (`SpotifyTokens`) are stored to request
  your plays, and are handed to nobody, nor is what is derived from them
  (`songswap.cut_off_exchanges`). The pipeline knows no password.
- **Records of runs** (`songswap.runs`, `songswap.steps`, `songswap.snapshots`), which have your
  number {user_id} among the users that a run polled. They are deleted after {keep_days} days.
  `songswap.spools` can have it while a machine reports trouble with your tokens, and
  `songswap.notices` while you are on the list of those who have to be erased.
- **Airflow's records** of the same runs: what a run was given (`airflow.dag_run`), what its tasks
  hand on (`airflow.xcom`, `airflow.rendered_task_instance_fields`), the audit log (`airflow.log`)
  and approvals (`airflow.hitl_detail`). They have your number, and names of files of your exports.
- **Logs and alerts**: logs of tasks, logs of services, terminals of operators, messages in Discord
  or other alert services. Some have your number, or the name of a file of your exports.
- **What waits on a machine** to be stored, in its spool, mostly for less than an hour; and broken
  spool files, until the operator deletes them.
- **Copies**: dumps and backups of all of this, exports handed over before, receipts of earlier
  requests to erase you. The operator's page of a user (page: a user) is made of these tables when
  it is opened.
- **What the web app stores** beyond these tables: ask its operator.
"""


def readme(
    user_id: int,
    created_at: datetime,
    rows: Mapping[str, int],
    listens_left_out: int,
    bucket: str,
    keep_days: int,
) -> bytes:
    """Return the README of a hand-over, in Markdown.

    Args:
        rows: the number of rows by the name of their table.
        bucket: that of the archive.
        keep_days: for how long records of runs are kept.
    """
    parts = [
        _INTRODUCTION.format(
            user_id=user_id, created_at=iso(created_at), listens_left_out=listens_left_out
        ),
        _account(),
        *(_table(table, rows.get(table.name, 0)) for table in TABLES),
        _MISSING.format(user_id=user_id, bucket=bucket, keep_days=keep_days),
    ]
    return "\n".join(parts).encode()


def _account() -> str:
    head = (
        "## account.json\n\nWho you are to the pipeline. From the web app and from Spotify; without"
        " it, your plays could not be requested. Until you are erased.\n"
    )
    return f"{head}\n{_columns(ACCOUNT)}\n"


def _table(table: Table, rows: int) -> str:
    text = (
        f"A row is {table.is_a_row}; there are {rows:,}. **From:** {table.origin} **Why:**"
        f" {table.why} **Kept:** {table.kept}"
    )
    return f"## {table.name}\n\n{textwrap.fill(text, 100)}\n\n{_columns(table.columns)}\n"


def _columns(columns: tuple[Column, ...]) -> str:
    lines = ["| column | what it is |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{column.name}` | {column.meaning} |" for column in columns)])
