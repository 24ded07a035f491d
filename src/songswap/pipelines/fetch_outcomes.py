"""What came of each user of a batch, and whether the rest is polled: pure."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from songswap.errors import (
    Forbidden,
    Interrupted,
    InvalidClient,
    InvalidGrant,
    RateLimited,
    SongSwapError,
    SpotifyError,
    SpotifyUnavailable,
    TokenLost,
)


@dataclass(slots=True)
class Outcomes:
    """The outcomes of a batch so far.

    Attributes:
        most_failures: users in a row without a usable response at which polling stops.
        by_user: the outcome of each user, see `songswap.warehouse.runs.OUTCOMES`.
        polled: users polled without new plays, with what went wrong, or None.
        refused: users whose grant Spotify refused; where an earlier exchange may have lost the
            token, with its time.
        recovered: users who had a response although something was held against their grant.
        counts: of responses and users, by name.
        stopped_by: the error that affects every user, None while there is none.
    """

    most_failures: int
    by_user: dict[int, str] = field(default_factory=dict)
    polled: dict[int, str | None] = field(default_factory=dict)
    refused: dict[int, datetime | None] = field(default_factory=dict)
    recovered: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    stopped_by: SongSwapError | None = None
    _failures_in_a_row: int = field(default=0, init=False)

    def goes_on(self) -> bool:
        """Whether to keep polling; false once a failure affects every user."""
        if self._failures_in_a_row >= self.most_failures:
            self.stop(
                SpotifyUnavailable(
                    f"Spotify failed for {self._failures_in_a_row} users in a row; the rest of the"
                    " batch was not polled. Responses received are stored; the next run asks again."
                )
            )
        return self.stopped_by is None

    def stop(self, error: SongSwapError) -> None:
        """Stop the batch; its first error is the one that is reported."""
        self.stopped_by = self.stopped_by or error

    def responded(self) -> None:
        """Record a response, or that the user is gone: Spotify works."""
        self._failures_in_a_row = 0

    def failed(self, user_id: int, error: SongSwapError) -> None:
        """Record a user's error; one that affects every user stops the batch."""
        match error:
            case InvalidGrant():
                sent_at = error.unanswered_at if isinstance(error, TokenLost) else None
                self.refused[user_id] = sent_at
                self.by_user[user_id] = "refused"
                self.polled[user_id] = str(error) if sent_at else "grant refused"
            case Forbidden():
                self.by_user[user_id] = self.polled[user_id] = "forbidden"
            case SpotifyError() if not isinstance(error, RateLimited | InvalidClient):
                self._failures_in_a_row += 1
                self.by_user[user_id] = "failed"
                self.polled[user_id] = str(error)
            case _:
                self.stop(error)
                # A pause is no try: it is still this user's turn, before those who were polled.
                if not isinstance(error, Interrupted | RateLimited):
                    self.polled[user_id] = type(error).__name__

    def unchanged(self, user_id: int) -> None:
        """Record a response without new plays."""
        self.by_user[user_id] = "unchanged"
        self.polled[user_id] = None

    def forbidden(self) -> list[int]:
        """The users of whom Spotify said 403."""
        return [user_id for user_id, outcome in self.by_user.items() if outcome == "forbidden"]

    def final_counts(self) -> Counter[str]:
        """The counts, with those of users by their outcome."""
        by_outcome = Counter(self.by_user.values())
        counts = Counter(self.counts)
        counts["polled"] = len(self.by_user)
        for name in ("failed", "refused", "forbidden", "unchanged"):
            counts[name] = by_outcome[name]
        return counts
