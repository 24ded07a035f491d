"""Spotify leaves items out of a page after it has cut it: a full page of fewer than 50 items."""

from datetime import datetime

from factories import MakePlatform

from songswap.pipelines import replay

GAPS = "SELECT user_id, after AT TIME ZONE 'UTC', before AT TIME ZONE 'UTC' FROM songswap.gaps"
NEWEST = 'SELECT user_id, max(played_at) FROM "History" GROUP BY 1'


def test_gap_behind_a_filtered_page_is_recorded(make_platform: MakePlatform) -> None:
    """A page that names older plays, and of which nothing is known, is a gap with 47 items too.

    Pages that name none, and pages that join what is known, are no gaps. A replay of what was
    archived finds the same.
    """
    platform = make_platform("--filtered", "0.1", users=8)
    assert "gaps" not in platform.load()
    newest = dict(platform.rows(NEWEST))
    platform.advance(hours=1)
    assert "gaps" not in platform.load()
    newest |= platform.rows(NEWEST)
    platform.advance(days=10)
    counts = platform.load()
    assert platform.history() == platform.reachable()
    gaps = platform.rows(GAPS)
    assert counts["gaps"] == len(gaps) > 0
    for user, after, before in gaps:
        assert after == newest[user]
        query = 'SELECT played_at FROM "History" WHERE user_id = %s AND played_at > %s'
        rows = platform.rows(query, user, after)
        assert min(rows) == (before,)
        assert 0 < len(rows) < 50

    loaded = platform.history()
    platform.execute('TRUNCATE "History", songswap.gaps, songswap.polls, songswap.rejected_items')
    for unit in replay.plan(platform.settings):
        replay.replay(platform.settings, "replay", unit)
    assert platform.history() == loaded
    assert sorted(platform.rows(GAPS)) == sorted(gaps)


def test_page_of_which_nothing_is_left(make_platform: MakePlatform) -> None:
    """A full page without any item is a gap up to its newest cursor, and is noted once.

    It is told apart from the feed of somebody who has played nothing.
    """
    platform = make_platform(users=1)
    platform.load()
    ((_, known),) = platform.rows(NEWEST)
    platform.advance(days=10)
    platform.fault(
        path="/v1/me/player/recently-played",
        action="mutate",
        mutate={"json_patch": [{"path": "items", "value": []}]},
    )
    assert platform.load()["gaps"] == 1
    assert "gaps" not in platform.load()
    ((_, after, before),) = platform.rows(GAPS)
    text = platform.clock().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    newest = max(
        play["played_at"] for play in platform.spotify.ledger() if play["listed_at"] <= text
    )
    assert (after, before) == (known, datetime.fromisoformat(newest).replace(tzinfo=None))
