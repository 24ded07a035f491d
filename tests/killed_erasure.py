"""Users with rows in every table that can have some, and their erasure, killed at any step.

``killed_erasure.py SETTINGS``: the settings as a pickle; see `killed_processes`. A step is a
statement, a COMMIT, or, before and after, a listing or removal in S3. Where the settings have S3,
steps are numbered from the first of these on.
"""

import pickle
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Self

import psycopg
from killed_processes import dying_before, serve
from stepping import Cursor, SteppedSession

from songswap.pipelines import erase
from songswap.pipelines.erase import Receipt
from songswap.settings import Archive, Settings, Spotify
from songswap.storage.archive_eraser import ArchiveEraser
from songswap.warehouse import connection, user_rows

AT = datetime(2026, 11, 22, 18, tzinfo=UTC)

OTHER, USER = 11, 12

ROWS_AT_ONCE = 20
"""Few rows of a transaction, so that there are several."""

_FILL = """
INSERT INTO "Users" (id, username, email, spotify_id)
SELECT n, n, n, n FROM unnest(%(users)s::integer[]) n;
INSERT INTO "SpotifyTokens" SELECT n, 'access ' || n, 'refresh ' || n
FROM unnest(%(users)s::integer[]) n;
INSERT INTO "Tracks" (id, name, duration_ms)
SELECT 'track ' || n, 'a track', 1000 FROM generate_series(0, 9) n
ON CONFLICT DO NOTHING;
INSERT INTO "History"
SELECT u, timestamp '2026-01-01' + n * interval '1 minute', 'track ' || n %% 10
FROM unnest(%(users)s::integer[]) u, generate_series(1, %(plays)s) n;
INSERT INTO songswap.streams (user_id, ended_at, ms_played, place, outcome, to_the_minute)
SELECT u, timestamptz '2026-01-01 UTC' + n / 3 * interval '1 minute', 1000, n %% 3, 'short', false
FROM unnest(%(users)s::integer[]) u, generate_series(1, %(plays)s) n;
INSERT INTO songswap.gaps (user_id, after, before, found_at, run_id)
SELECT n, '2026-01-01', '2026-01-02', '2026-01-03', 'a run' FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.rejected_items
SELECT n, 'one', 'reason', NULL, 'key of ' || n, 'a run', '2026-01-03'
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.imports
SELECT 'import__user' || n, n, '2026-01-01', '2026-01-01', '{}', '{}'
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.polls (user_id, polled_at) SELECT n, '2026-01-01'
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.grants (user_id, refresh_digest, authorized_at)
SELECT n, sha256(convert_to('refresh ' || n, 'UTF8')), '2026-01-01'
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.tokens
SELECT n, 'access', 'refresh', '2026-01-01', sha256(convert_to('refresh ' || n, 'UTF8')),
  '2026-01-01'
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.token_exchanges SELECT n, 'digest', '2026-01-01', 5, '2026-01-01', NULL
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.cut_off_exchanges SELECT n, 6, 'digest', '00000000-0000-0000-0000-000000000001'
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.disconnects SELECT n, 'revoked', '2026-01-01', '2026-01-06'
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.runs (run_id, started_at, problem)
VALUES ('a run', '2026-01-01', 'The responses of user 12 and user 120 are damaged.');
INSERT INTO songswap.steps (run_id, step, number, problem, first_user, last_user, users, outcomes)
SELECT 'a run', step, 0, 'user 12', 1, 1000, %(users)s::integer[],
  (SELECT jsonb_object_agg(n::text, 'answered') FROM unnest(%(users)s::integer[]) n)
FROM unnest('{fetch,load}'::text[]) step;
INSERT INTO songswap.steps (run_id, step, number, outcomes)
SELECT 'a run', 'fetch', 1, jsonb_object_agg(n::text, 'answered')
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.snapshots
SELECT '2026-01-01', 'a run', jsonb_build_object(
  'gaps', jsonb_build_object('open', 1, 'newest', jsonb_agg(jsonb_build_object('user_id', n))),
  'imports', jsonb_agg(jsonb_build_object('user_id', n)),
  'users', '{}'::jsonb,
  'run', jsonb_build_object('problem', 'User 12 is "late".'))
FROM unnest(%(users)s::integer[]) n;
INSERT INTO songswap.snapshots
SELECT '2026-02-01', 'a run', facts - 'run' || jsonb_build_object('erasing',
  jsonb_build_object('due', facts -> 'imports', 'due_users', 2, 'open', facts -> 'imports'))
FROM songswap.snapshots
"""

NAMING = {"songswap.runs", "songswap.steps", "songswap.snapshots"}
"""Tables whose rows stay, and lose the user."""


def fill(dsn: str, users: Sequence[int] = (OTHER, USER), plays: int = 30) -> None:
    """Give users rows in every table that can have any of them."""
    with psycopg.Connection.connect(dsn, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(_FILL.encode(), {"users": list(users), "plays": plays})


def settings_of(dsn: str) -> Settings:
    """Settings of the warehouse alone."""
    return Settings(dsn, Spotify("id", "secret"), Archive("no-bucket"), Path("/nowhere"))


def erase_now(settings: Settings, user: int = USER, **options: Any) -> Receipt:
    """Erase a user, as far as that can be done now."""
    erasure_id = erase.request(settings, user, clock=lambda: AT, **options)
    return erase.proceed(settings, erasure_id, clock=lambda: AT)


def removed(receipt: Receipt, place: str = "warehouse") -> dict[str, int]:
    """What a receipt says of a place."""
    return next(each.removed for each in receipt.places if each.place == place)


def kill_before(number: int, *, in_s3: bool) -> None:
    """Have this process killed before its step of this number, see the module."""
    die = dying_before(number)
    has_begun = not in_s3

    def step(_: str = "") -> None:
        if has_begun:
            die("")

    class Session(SteppedSession):
        @classmethod
        def connect(cls, *arguments: Any, **options: Any) -> Self:
            session = super().connect(*arguments, **options)
            session.cursor_factory = Cursor
            session.before_step = step
            return session

    def stepped(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(*arguments: Any, **options: Any) -> Any:
            nonlocal has_begun
            has_begun = True
            step()
            result = function(*arguments, **options)
            step()
            return result

        return called

    setattr(connection, "Session", Session)  # noqa: B010 - for mypy, it is not exported
    for name in ("_find", "_delete"):
        setattr(ArchiveEraser, name, stepped(getattr(ArchiveEraser, name)))


def main(pickled: str) -> None:
    """See the module."""
    settings = pickle.loads(bytes.fromhex(pickled))  # noqa: S301 - the test's own
    user_rows._ROWS_AT_ONCE = ROWS_AT_ONCE

    def work(number: int) -> None:
        kill_before(number, in_s3=settings.eraser is not None)
        erase_now(settings)

    serve(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
