"""Two loads at once, in every order of their steps: all tables are as after one and then the other.

``SONGSWAP_EVERY_ORDER=1`` tries every pair of points. Without it the first stops at each point for
all of the second, the second at every other point for all of the first, and others are a sample.
"""

import os
import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import NamedTuple

import psycopg
import pytest
from all_tables import AllTables, Rows, difference, unexplained
from contradictions import FETCHED, HEARD, NEW, OLD, RENAMED, A, B, Y, Z, drawn, song
from spotify_json import OBSERVED_AT as AT
from stepping import Stepped, Stepper, Work
from warehouse_work import (
    delete_user,
    enrich_artists,
    enrich_features,
    enrich_tracks,
    import_export,
    in_turn,
    load,
    move_raw,
    record_polls,
)

EVERY_ORDER = bool(os.environ.get("SONGSWAP_EVERY_ORDER"))
DRAWN = 50 if EVERY_ORDER else 2
"""Pairs of loads with drawn tracks."""
SAMPLE = 6
"""Orders with two stops that are tried, and orders with many."""

FIRST, SECOND = 0, 1
MOST_STEPS = 1000


class Pair(NamedTuple):
    """Two pieces of work, and what comes before them.

    Where they are ``ordered``, the serial orders differ (docs/adr/0012): then each row has to be
    one of either, and all are there that both have.
    """

    name: str
    first: Work
    second: Work
    before: Work = in_turn()
    ordered: bool = False


LATER = AT + timedelta(minutes=10)
TOLD = load({1: {}, 2: {}, 3: {40: song(1, Z), 41: song(2, A, name=None), 42: song(127, Y)}})
BROKEN = load({1: dict.fromkeys(range(50, 54))}, at=LATER)
BROKEN_BEFORE = load(*({1: {minute: None}} for minute in range(50, 54)))
"""The same broken items in earlier responses, which are the ones to name then."""

PAIRS = (
    Pair("loads of two users", load({1: OLD}), load({2: NEW})),
    Pair("loads of two users, tracks known", load({1: OLD}), load({2: NEW}), TOLD),
    Pair("loads of one user", load({1: OLD}), load({1: OLD | NEW}, at=LATER), ordered=True),
    Pair(
        "loads of users in two orders",
        load({1: OLD, 2: NEW}),
        load({2: OLD, 1: NEW}, at=LATER),
        ordered=True,
    ),
    Pair("load and tracks' enrichment", load({1: NEW}), enrich_tracks(*FETCHED), TOLD),
    Pair("load and artists' enrichment", load({1: NEW}), enrich_artists(*RENAMED), TOLD),
    Pair("load and features' enrichment", load({1: OLD}), enrich_features(1, 2, 127), TOLD),
    Pair("load and import of one user", load({1: OLD}), import_export(1, HEARD), ordered=True),
    Pair("load and import of two users", load({1: OLD}), import_export(2, HEARD), ordered=True),
    Pair("two imports", import_export(1, HEARD), import_export(2, HEARD)),
    Pair("import and enrichment", import_export(1, HEARD), enrich_tracks(*FETCHED), TOLD),
    Pair(
        "two enrichments of tracks",
        enrich_tracks(*OLD.values()),
        enrich_tracks(*FETCHED),
        TOLD,
        ordered=True,
    ),
    Pair(
        "enrichments of tracks and artists",
        enrich_tracks(*FETCHED),
        enrich_artists(*reversed(RENAMED)),
        TOLD,
        ordered=True,
    ),
    Pair(
        "loads that share one of two tracks",
        load({1: {10: song(2, A)}}),
        load({2: {10: song(2, A), 11: song(1, A | {"name": "Z"})}}),
    ),
    Pair(
        "new artists in two orders", load({1: {10: song(2, B, Z)}}), load({2: {10: song(1, Z, B)}})
    ),
    *(
        Pair(f"drawn loads {seed}", load({1: drawn(seed)}), load({2: drawn(seed + 1)}))
        for seed in range(0, 2 * DRAWN, 2)
    ),
    Pair("replay and polls", load({2: OLD}, {1: NEW}), record_polls(1, 2), TOLD, ordered=True),
    Pair("load and polls", load({1: OLD, 2: NEW}), record_polls(2, 1), ordered=True),
    Pair(
        "load and another key of a response",
        BROKEN_BEFORE,
        move_raw(1, LATER),
        BROKEN,
        ordered=True,
    ),
    Pair("load and its user's deletion", load({1: OLD, 2: NEW}), delete_user(1), ordered=True),
    Pair("import and its user's deletion", import_export(1, HEARD), delete_user(1), ordered=True),
)


@pytest.fixture
def tables(warehouse_dsn: str) -> Iterator[AllTables]:
    """The tables of a fresh warehouse with three users."""
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute('INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, 3) n')
        yield AllTables(connection)


@pytest.fixture
def stepper(warehouse_dsn: str) -> Iterator[Stepper]:
    stepper = Stepper(warehouse_dsn)
    yield stepper
    stepper.close()


def orders(first: int, second: int) -> Iterator[list[int]]:
    """Whose steps are taken, up to where the first and then the second goes on to its end."""
    every = set(product(range(first + 1), range(second + 1)))
    single = {(i, second) for i in range(first + 1)} | {(0, j) for j in range(0, second, 2)}
    chosen = random.Random(19)  # noqa: S311 - no secret
    others = sorted(every - single)
    if not EVERY_ORDER:
        others = chosen.sample(others, min(SAMPLE, len(others)))
    for i, j in sorted(single) + others:
        yield [FIRST] * i + [SECOND] * j
    for _ in range(SAMPLE):
        yield chosen.choices([FIRST, SECOND], k=first + second)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_any_order_of_steps_is_as_one_after_the_other(
    pair: Pair, tables: AllTables, stepper: Stepper
) -> None:
    """Row for row, in all tables, and without a deadlock, not even one that is retried."""
    works = (pair.first, pair.second)
    stepper.run((pair.before, in_turn()), [])
    tables.keep()

    def run(turns: list[int]) -> tuple[Stepped, Rows]:
        tables.restore()
        done = stepper.run(works, turns)
        return done, tables.read()

    alone, expected = run([FIRST] * MOST_STEPS)
    _, reverse = run([SECOND] * MOST_STEPS)
    if expected != reverse and not pair.ordered:
        pytest.fail(difference(reverse, expected))
    steps = [sum(step.startswith(side) for step in alone.steps) for side in ("first", "second")]
    for turns in orders(*steps):
        done, found = run(turns)
        assert not done.errors, "\n".join(done.steps)
        if wrong := unexplained(found, [expected, reverse]):
            pytest.fail("\n".join([wrong, *done.steps]))
