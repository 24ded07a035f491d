"""Tokens expire, rotate, are revoked and survive a restart."""

from songswap.dev.simulator.clock import Clock
from songswap.dev.simulator.token import (
    ACCESS_LIFETIME,
    GRACE_PERIOD,
    GRANT_LIFETIME,
    Token,
    TokenIssuer,
)

NOW = 1_800_000_000_000


def new_issuer(clock: Clock | None = None) -> TokenIssuer:
    return TokenIssuer(1, clock or Clock(NOW))


def read(issuer: TokenIssuer, text: str) -> Token:
    token = issuer.read(text)
    assert token is not None
    return token


def test_tokens_are_unique_and_fit_their_column() -> None:
    """No two are equal, even within a millisecond; the longest has at most 250 characters."""
    issuer = new_issuer()
    tokens = [issuer.issue_refresh("x" * 64, NOW, 2**19 - 1, 10_000) for _ in range(500)]
    tokens += [issuer.issue_access("x" * 64, NOW, 2**19 - 1) for _ in range(500)]
    assert len(set(tokens)) == 1_000
    assert max(map(len, tokens)) <= 250


def test_token_survives_a_restart() -> None:
    """Another simulator of the same seed accepts what the first one signed."""
    text = new_issuer().issue_refresh("listener-0001", NOW, 1)
    again = new_issuer(Clock(NOW + 5))
    token = read(again, text)
    assert (token.kind, token.user, token.authorized_at) == ("refresh", "listener-0001", NOW)
    assert again.is_valid(token)


def test_forged_token_is_unknown() -> None:
    """A changed letter, another seed's signature or a text that is no token is rejected."""
    text = new_issuer().issue_access("listener-0001", NOW, 1)
    forged = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]
    for invalid in (forged, "", "BQ", "nonsense", "é"):
        assert new_issuer().read(invalid) is None
    assert TokenIssuer(2, Clock(NOW)).read(text) is None


def test_access_token_expires_after_an_hour() -> None:
    """The hour is one of the simulator's clock."""
    clock = Clock(NOW)
    issuer = new_issuer(clock)
    token = read(issuer, issuer.issue_access("listener-0001", NOW, 1))
    clock.set(NOW + ACCESS_LIFETIME - 1)
    assert not issuer.is_expired(token)
    clock.set(NOW + ACCESS_LIFETIME)
    assert issuer.is_expired(token)


def test_rotated_token_works_for_ten_minutes() -> None:
    """Within the grace period the old one works, and gets the generation that replaced it."""
    clock = Clock(NOW)
    issuer = new_issuer(clock)
    old = read(issuer, issuer.issue_refresh("listener-0001", NOW, 1))
    assert issuer.successor(old) is None
    new = read(issuer, issuer.rotate(old))
    again = read(issuer, issuer.successor(old) or "")
    assert again.generation == new.generation == 1
    clock.set(NOW + GRACE_PERIOD - 1)
    assert issuer.is_valid(old)
    clock.set(NOW + GRACE_PERIOD)
    assert (issuer.is_valid(old), issuer.is_valid(new)) == (False, True)


def test_token_of_two_generations_ago_is_invalid_at_once() -> None:
    """The grace period is for the last generation only."""
    issuer = new_issuer()
    first = read(issuer, issuer.issue_refresh("listener-0001", NOW, 1))
    second = read(issuer, issuer.rotate(first))
    issuer.rotate(second)
    assert (issuer.is_valid(first), issuer.is_valid(second)) == (False, True)


def test_grant_expires_six_months_after_authorization() -> None:
    """After 182 days, whatever was refreshed in between."""
    clock = Clock(NOW)
    issuer = new_issuer(clock)
    first = read(issuer, issuer.issue_refresh("listener-0001", NOW, 1))
    clock.set(NOW + GRANT_LIFETIME - 1)
    renewed = read(issuer, issuer.rotate(first))
    assert issuer.is_valid(renewed)
    clock.set(NOW + GRANT_LIFETIME)
    assert not issuer.is_valid(renewed)


def test_only_a_new_authorization_replaces_a_revoked_grant() -> None:
    """Even if all happens within a millisecond."""
    issuer = new_issuer()
    old = read(issuer, issuer.issue_refresh("listener-0001", issuer.authorize("listener-0001"), 1))
    other = read(issuer, issuer.issue_refresh("listener-0002", NOW, 1))
    issuer.revoke("listener-0001")
    new = read(issuer, issuer.issue_refresh("listener-0001", issuer.authorize("listener-0001"), 1))
    assert [issuer.is_valid(token) for token in (old, new, other)] == [False, True, True]
