"""The tokens in the spool: those that the warehouse lacks, and the rotations that it may lose."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from songswap.models import RotatedToken, Successor
from songswap.storage import spool_rotations, spool_rows, spool_tables
from songswap.storage.spool_file import SpoolFile
from songswap.storage.spool_transactions import reads, writes

_TOKENS = f"SELECT {spool_rows.ROTATED} FROM rotated_tokens ORDER BY user_id"  # noqa: S608


class SpoolTokens:
    """The part of `songswap.storage.spool.Spool` that holds tokens.

    Args:
        remembers: how long rotated tokens are remembered after the warehouse has them.
    """

    def __init__(self, file: SpoolFile, remembers: timedelta) -> None:
        self.file = file
        self._remembers = remembers

    def add_tokens(self, tokens: Iterable[RotatedToken]) -> None:
        """Store tokens that must not be lost: those that they replace may be invalid already.

        Of two of a user, the later ones stay.
        """
        if new := list(tokens):
            self._add_tokens(new)

    @writes
    def _add_tokens(self, tokens: Sequence[RotatedToken]) -> None:
        spool_tables.add_tokens(self.file.db, tokens)

    @reads
    def tokens(self) -> list[RotatedToken]:
        """Return the intact tokens that wait for the warehouse."""
        rows = self.file.db.execute(_TOKENS)
        return [token for row in rows if (token := spool_rows.token_of(row))]

    @reads
    def damaged_tokens(self) -> list[int]:
        """Return the users of tokens that the disk damaged, as far as their rows name them."""
        return self._damaged_tokens()

    @writes
    def drop_damaged_tokens(self) -> None:
        """Delete the damaged tokens, which cannot be used."""
        self.file.db.executemany(
            "DELETE FROM rotated_tokens WHERE user_id = ?",
            [(user_id,) for user_id in self._damaged_tokens()],
        )

    def _damaged_tokens(self) -> list[int]:
        return [row[0] for row in self.file.db.execute(_TOKENS) if not spool_rows.token_of(row)]

    def drop_tokens(self, tokens: Iterable[RotatedToken], now: datetime) -> None:
        """Delete tokens that the warehouse has, or has newer ones than; remember the rotations."""
        if stored := list(tokens):
            self._drop_tokens(stored, now)

    @writes
    def _drop_tokens(self, tokens: Sequence[RotatedToken], now: datetime) -> None:
        self.file.db.executemany(
            "DELETE FROM rotated_tokens WHERE user_id = ? AND access_token = ?",
            [(token.user_id, spool_rows.blob(token.access_token)) for token in tokens],
        )
        if self._remembers:
            spool_rotations.remember(self.file.db, tokens, now)

    @reads
    def latest_tokens(self, first: int, last: int, limit: int) -> list[tuple[int, bytes]]:
        """Return the tokens that the warehouse should have of users with ids ``first``-``last``.

        Up to ``limit`` user ids, in order, with the digests of the refresh tokens that end chains
        of rotations, one a chain.
        """
        return spool_rotations.latest(self.file.db, first, last, limit)

    @reads
    def successors(self, held: Iterable[tuple[int, bytes]]) -> list[Successor]:
        """Return the successors of the tokens that the warehouse holds, by user id and digest.

        None for a token that was not rotated, or not lately: it may be newer than these.
        """
        found = (
            spool_rotations.successor(self.file.db, user_id, digest) for user_id, digest in held
        )
        return [successor for successor in found if successor]

    @writes
    def forget_rotations(self, now: datetime) -> None:
        """Delete rotations that have been remembered for long enough."""
        spool_rotations.forget(self.file.db, self._remembers, now)
