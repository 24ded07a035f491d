"""Tokens that carry what they mean, signed: they outlive the simulator that gave them.

Only what cannot be seen in a token is remembered: revocations, rotations, and which generation
somebody was told of. After a restart an older generation of a refresh token is accepted again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from typing import Literal

import msgspec

from songswap.dev.simulator.clock import Clock

ACCESS_LIFE = 3_600 * 1000
GRANT_LIFE = 182 * 24 * 3_600 * 1000
"""Six months, in ms: from the authorization on, and no refresh extends it."""
GRACE = 10 * 60 * 1000
"""How long a refresh token still works after another has taken its place."""

_SIGNATURE = 16
_SUFFIX = "~"
"""What follows it in a token says nothing, but has to be whole: its digest stands before it."""
_PREFIX = {"access": "BQ", "refresh": "AQ"}


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What a token says. Times in ms; `user` is None for a token of the app alone."""

    kind: Literal["access", "refresh"]
    user: str | None
    authorized_at: int
    issued_at: int
    generation: int
    scopes: int
    nonce: bytes


class Grants:
    """Issues, reads and judges tokens."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._key = hashlib.blake2b(f"tokens/{seed}".encode()).digest()
        self._clock = clock
        self._decoder = msgspec.msgpack.Decoder(Token)
        self._revoked: dict[str, int] = {}
        self._current: dict[tuple[str, int], tuple[int, int]] = {}
        self._authorized: dict[str, int] = {}
        self._delivered: dict[tuple[str, int], int] = {}

    def authorize(self, user: str) -> int:
        """Return the time of a new authorization, later than any revocation."""
        self._authorized[user] = max(self._clock.now(), self._revoked.get(user, 0) + 1)
        return self._authorized[user]

    def revoke(self, user: str) -> None:
        """End every grant that the user has given so far; access tokens live on to their end."""
        self._revoked[user] = max(self._clock.now(), self._revoked.get(user, 0))

    def access(self, user: str | None, authorized_at: int, scopes: int) -> str:
        """Return a new access token."""
        return self._sign("access", user, authorized_at, 0, scopes)

    def refresh(self, user: str, authorized_at: int, scopes: int, generation: int = 0) -> str:
        """Return a new refresh token."""
        return self._sign("refresh", user, authorized_at, generation, scopes)

    def rotate(self, token: Token) -> str:
        """Return a refresh token of the next generation; the present one dies 10 minutes later."""
        user = token.user or ""
        generation = token.generation + 1
        self._current[user, token.authorized_at] = (generation, self._clock.now())
        return self.refresh(user, token.authorized_at, token.scopes, generation)

    def successor(self, token: Token) -> str | None:
        """Return a token of the current generation when another has taken this one's place."""
        user = token.user or ""
        generation, _ = self._current.get((user, token.authorized_at), (0, 0))
        if generation <= token.generation:
            return None
        return self.refresh(user, token.authorized_at, token.scopes, generation)

    def delivered(self, text: str) -> None:
        """Note that an answer with this refresh token went out whole."""
        if token := self.read(text):
            key = (token.user or "", token.authorized_at)
            self._delivered[key] = max(token.generation, self._delivered.get(key, 0))

    def undelivered(self) -> list[str]:
        """Return whose newest refresh token stood in no answer that went out whole.

        The one before it still gets another until 10 minutes after the rotation; then nothing does.
        """
        return sorted(
            user
            for (user, authorized_at), (generation, _) in self._current.items()
            if authorized_at == self._authorized.get(user)
            and self._delivered.get((user, authorized_at), 0) < generation
        )

    def is_alive(self, token: Token) -> bool:
        """Tell whether a refresh token still works."""
        now, user = self._clock.now(), token.user or ""
        if now >= token.authorized_at + GRANT_LIFE:
            return False
        if token.authorized_at <= self._revoked.get(user, -1):
            return False
        generation, since = self._current.get((user, token.authorized_at), (0, 0))
        behind = generation - token.generation
        return behind <= 0 or (behind == 1 and now < since + GRACE)

    def is_expired(self, token: Token) -> bool:
        """Tell whether an access token's hour is over."""
        return self._clock.now() >= token.issued_at + ACCESS_LIFE

    def read(self, text: str) -> Token | None:
        """Return what a token says, or None when it was not issued under this seed."""
        text, lengthened_by, rest = text.partition(_SUFFIX)
        digest, _, suffix = rest.partition(_SUFFIX)
        if lengthened_by and digest != _digest(suffix):
            return None
        try:
            data = base64.urlsafe_b64decode(text[2:] + "=" * (-len(text[2:]) % 4))
            body, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
            if not hmac.compare_digest(self._signature(body), signature):
                return None
            token = self._decoder.decode(body)
        except ValueError:  # also of base64 and of msgspec
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


def lengthened(body: bytes, suffixes: Mapping[str, str]) -> bytes:
    """Return a token answer with suffixes behind its tokens, which are good as they are."""
    told = json.loads(body)
    for name, suffix in suffixes.items():
        if suffix and name in told:
            told[name] += _SUFFIX + _digest(suffix) + _SUFFIX + suffix
    return json.dumps(told).encode()


def _digest(suffix: str) -> str:
    return hashlib.blake2b(suffix.encode(errors="surrogatepass"), digest_size=4).hexdigest()
