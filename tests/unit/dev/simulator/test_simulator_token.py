"""Tokens live, rotate, die and outlast a restart."""

from songswap.dev.simulator.clock import Clock
from songswap.dev.simulator.token import ACCESS_LIFE, GRACE, GRANT_LIFE, Grants, Token

NOW = 1_800_000_000_000


def grants(clock: Clock | None = None) -> Grants:
    return Grants(1, clock or Clock(NOW))


def read(issuer: Grants, text: str) -> Token:
    token = issuer.read(text)
    assert token is not None
    return token


def test_tokens_are_unique_and_fit_their_column() -> None:
    """No two are the same, also within one millisecond; the longest has at most 250 characters."""
    issuer = grants()
    tokens = [issuer.refresh("x" * 64, NOW, 2**19 - 1, 10_000) for _ in range(500)]
    tokens += [issuer.access("x" * 64, NOW, 2**19 - 1) for _ in range(500)]
    assert len(set(tokens)) == 1_000
    assert max(map(len, tokens)) <= 250


def test_token_survives_a_restart() -> None:
    """Another simulator of the same seed knows what the first has signed."""
    text = grants().refresh("listener-0001", NOW, 1)
    again = grants(Clock(NOW + 5))
    token = read(again, text)
    assert (token.kind, token.user, token.authorized_at) == ("refresh", "listener-0001", NOW)
    assert again.is_alive(token)


def test_forged_token_is_unknown() -> None:
    """A changed letter, another seed's signature or no token at all says nothing."""
    text = grants().access("listener-0001", NOW, 1)
    forged = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]
    assert [grants().read(each) for each in (forged, "", "BQ", "nonsense", "é")] == [None] * 5
    assert Grants(2, Clock(NOW)).read(text) is None


def test_access_token_expires_after_an_hour() -> None:
    """It lives 3,600 s of the simulator's clock."""
    clock = Clock(NOW)
    issuer = grants(clock)
    token = read(issuer, issuer.access("listener-0001", NOW, 1))
    clock.set(NOW + ACCESS_LIFE - 1)
    assert not issuer.is_expired(token)
    clock.set(NOW + ACCESS_LIFE)
    assert issuer.is_expired(token)


def test_rotated_token_dies_ten_minutes_later() -> None:
    """The old one works within the grace, and leads to the generation that took its place."""
    clock = Clock(NOW)
    issuer = grants(clock)
    old = read(issuer, issuer.refresh("listener-0001", NOW, 1))
    assert issuer.successor(old) is None
    new = read(issuer, issuer.rotate(old))
    again = read(issuer, issuer.successor(old) or "")
    assert again.generation == new.generation == 1
    clock.set(NOW + GRACE - 1)
    assert issuer.is_alive(old)
    clock.set(NOW + GRACE)
    assert (issuer.is_alive(old), issuer.is_alive(new)) == (False, True)


def test_two_generations_behind_is_dead_at_once() -> None:
    """The grace is for the last generation only."""
    issuer = grants()
    first = read(issuer, issuer.refresh("listener-0001", NOW, 1))
    second = read(issuer, issuer.rotate(first))
    issuer.rotate(second)
    assert (issuer.is_alive(first), issuer.is_alive(second)) == (False, True)


def test_grant_dies_six_months_after_authorization() -> None:
    """182 days, whatever was refreshed in between."""
    clock = Clock(NOW)
    issuer = grants(clock)
    first = read(issuer, issuer.refresh("listener-0001", NOW, 1))
    clock.set(NOW + GRANT_LIFE - 1)
    renewed = read(issuer, issuer.rotate(first))
    assert issuer.is_alive(renewed)
    clock.set(NOW + GRANT_LIFE)
    assert not issuer.is_alive(renewed)


def test_revoked_grant_is_revived_by_a_new_authorization_only() -> None:
    """Also when all happens within one millisecond."""
    issuer = grants()
    old = read(issuer, issuer.refresh("listener-0001", issuer.authorize("listener-0001"), 1))
    other = read(issuer, issuer.refresh("listener-0002", NOW, 1))
    issuer.revoke("listener-0001")
    new = read(issuer, issuer.refresh("listener-0001", issuer.authorize("listener-0001"), 1))
    assert [issuer.is_alive(token) for token in (old, new, other)] == [False, True, True]
