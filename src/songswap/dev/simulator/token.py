"""Signed, self-contained tokens, which outlive the simulator that issued them.

Only what a token cannot contain is in memory: revocations, rotations, and which generation was
delivered. So after a restart an older generation of a refresh token is accepted again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from songswap.dev.simulator.clock import Clock

ACCESS_LIFETIME = 3_600 * 1000
GRANT_LIFETIME = 182 * 24 * 3_600 * 1000
"""Six months from the authorization, in ms; no refresh extends it."""
GRACE_PERIOD = 10 * 60 * 1000
"""How long a refresh token works after its rotation, in ms."""

_SIGNATURE = 16
_SEPARATOR = "~"
"""Separates a token from the digest of a meaningless suffix, and that digest from the suffix."""
_PREFIX = {"access": "BQ", "refresh": "AQ"}


class Token(msgspec.Struct, frozen=True, array_like=True):
    """The contents of a token. Times in ms; `user` is None for a token of the app alone."""

    kind: Literal["access", "refresh"]
    user: str | None
    authorized_at: int
    issued_at: int
    generation: int
    scopes: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """What a user consented to, until the app redeems the code. `expires_at` is in ms."""

    user: str
    redirect_uri: str
    scopes: int
    expires_at: int


class TokenIssuer:
    """Issues, reads and validates tokens."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._key = hashlib.blake2b(f"tokens/{seed}".encode()).digest()
        self._clock = clock
        self._decoder = msgspec.msgpack.Decoder(Token)
        # Times by user; generations (and when they began) by user and time of the authorization.
        self._revoked: dict[str, int] = {}
        self._authorized: dict[str, int] = {}
        self._current: dict[tuple[str, int], tuple[int, int]] = {}
        self._delivered: dict[tuple[str, int], int] = {}

    def authorize(self, user: str) -> int:
        """Return the time of a new authorization, later than any revocation."""
        self._authorized[user] = max(self._clock.now(), self._revoked.get(user, 0) + 1)
        return self._authorized[user]

    def revoke(self, user: str) -> None:
        """Revoke every grant of the user up to now; access tokens work until they expire."""
        self._revoked[user] = max(self._clock.now(), self._revoked.get(user, 0))

    def issue_access(self, user: str | None, authorized_at: int, scopes: int) -> str:
        """Return a new access token."""
        return self._sign("access", user, authorized_at, 0, scopes)

    def issue_refresh(self, user: str, authorized_at: int, scopes: int, generation: int = 0) -> str:
        """Return a new refresh token."""
        return self._sign("refresh", user, authorized_at, generation, scopes)

    def rotate(self, token: Token) -> str:
        """Return a refresh token of the next generation; the present one works 10 more minutes."""
        user = token.user or ""
        generation = token.generation + 1
        self._current[user, token.authorized_at] = (generation, self._clock.now())
        return self.issue_refresh(user, token.authorized_at, token.scopes, generation)

    def successor(self, token: Token) -> str | None:
        """Return a token of the current generation, or None if this one is of it."""
        user = token.user or ""
        generation, _ = self._current.get((user, token.authorized_at), (0, 0))
        if generation <= token.generation:
            return None
        return self.issue_refresh(user, token.authorized_at, token.scopes, generation)

    def record_delivery(self, text: str) -> None:
        """Record that a response with this refresh token was sent completely."""
        if token := self.read(text):
            key = (token.user or "", token.authorized_at)
            self._delivered[key] = max(token.generation, self._delivered.get(key, 0))

    def undelivered(self) -> list[str]:
        """Return the users whose newest refresh token was in no completely sent response.

        The token before it still gets the newest within 10 minutes of the rotation, none later.
        """
        return sorted(
            user
            for (user, authorized_at), (generation, _) in self._current.items()
            if authorized_at == self._authorized.get(user)
            and self._delivered.get((user, authorized_at), 0) < generation
        )

    def is_valid(self, token: Token) -> bool:
        """Return whether a refresh token works."""
        now, user = self._clock.now(), token.user or ""
        if now >= token.authorized_at + GRANT_LIFETIME:
            return False
        if token.authorized_at <= self._revoked.get(user, -1):
            return False
        generation, since = self._current.get((user, token.authorized_at), (0, 0))
        behind = generation - token.generation
        return behind <= 0 or (behind == 1 and now < since + GRACE_PERIOD)

    def is_expired(self, token: Token) -> bool:
        """Return whether an access token's hour is over."""
        return self._clock.now() >= token.issued_at + ACCESS_LIFETIME

    def read(self, text: str) -> Token | None:
        """Return a token's contents, or None if it was not issued under this seed."""
        text, separator, rest = text.partition(_SEPARATOR)
        digest, _, suffix = rest.partition(_SEPARATOR)
        if separator and digest != _digest(suffix):
            return None
        try:
            data = base64.urlsafe_b64decode(text[2:] + "=" * (-len(text[2:]) % 4))
            body, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
            if not hmac.compare_digest(self._signature(body), signature):
                return None
            token = self._decoder.decode(body)
        except ValueError:  # base64 and msgspec raise subclasses
            return None
        return token if text.startswith(_PREFIX[token.kind]) else None

    def _sign(
        self,
        kind: Literal["access", "refresh"],
        user: str | None,
        authorized_at: int,
        generation: int,
        scopes: int,
    ) -> str:
        token = Token(
            kind, user, authorized_at, self._clock.now(), generation, scopes, os.urandom(6)
        )
        body = msgspec.msgpack.encode(token)
        signed = base64.urlsafe_b64encode(body + self._signature(body)).decode().rstrip("=")
        return _PREFIX[kind] + signed

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_SIGNATURE]


def with_suffixes(body: bytes, suffixes: Mapping[str, str]) -> bytes:
    """Return a token response with suffixes appended to its tokens, which stay valid."""
    response = json.loads(body)
    for name, suffix in suffixes.items():
        if suffix and name in response:
            response[name] += _SEPARATOR + _digest(suffix) + _SEPARATOR + suffix
    return json.dumps(response).encode()


def _digest(suffix: str) -> str:
    return hashlib.blake2b(suffix.encode(errors="surrogatepass"), digest_size=4).hexdigest()
