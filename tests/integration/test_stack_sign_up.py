"""The simulator's listeners become users of the platform."""

import psycopg
import pytest
from factories import StartSimulator

from songswap.dev.stack.sign_up import sign_up
from songswap.supervision.errors import StartRefused

USERS = 'SELECT u.spotify_id, t.refresh_token FROM "Users" u JOIN "SpotifyTokens" t ON t.id = u.id'


def rows(dsn: str, query: str) -> list[tuple[str, str]]:
    """The rows of a query."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def test_everybody_is_signed_up_once(simulator: StartSimulator, warehouse_dsn: str) -> None:
    """Each listener gets a row and tokens of their own; a second time nothing changes."""
    spotify = simulator("--users", "20")
    listeners = spotify.get("/admin/listeners")
    assert sign_up(warehouse_dsn, spotify.url, listeners, lambda _: None) == 20
    first = rows(warehouse_dsn, USERS)
    assert {user for user, _ in first} == {each["id"] for each in listeners}
    assert len({token for _, token in first}) == 20
    assert sign_up(warehouse_dsn, spotify.url, listeners, lambda _: None) == 0
    assert rows(warehouse_dsn, USERS) == first


def test_missing_listeners_are_signed_up(simulator: StartSimulator, warehouse_dsn: str) -> None:
    """Also those whose tokens are gone; the others' tokens stay."""
    spotify = simulator("--users", "3")
    listeners = spotify.get("/admin/listeners")
    sign_up(warehouse_dsn, spotify.url, listeners[:2], lambda _: None)
    with psycopg.connect(warehouse_dsn) as connection:
        connection.execute('DELETE FROM "SpotifyTokens" WHERE id = 1')
    kept = rows(warehouse_dsn, USERS)
    assert sign_up(warehouse_dsn, spotify.url, listeners, lambda _: None) == 2
    now = rows(warehouse_dsn, USERS)
    assert len(now) == 3
    assert set(kept) < set(now)


def test_a_warehouse_of_real_users_is_left_alone(
    simulator: StartSimulator, warehouse_dsn: str
) -> None:
    """Simulated listeners never mix with users whom the simulator does not know."""
    spotify = simulator("--users", "1")
    with psycopg.connect(warehouse_dsn) as connection:
        connection.execute(
            'INSERT INTO "Users" (username, email, spotify_id) VALUES (%s, %s, %s)',
            ["real", "real@example.org", "real"],
        )
    with pytest.raises(StartRefused, match="1 users whom the simulator does not know"):
        sign_up(warehouse_dsn, spotify.url, spotify.get("/admin/listeners"), lambda _: None)
    assert len(rows(warehouse_dsn, 'SELECT spotify_id, email FROM "Users"')) == 1
