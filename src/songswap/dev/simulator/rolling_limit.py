"""A limit of requests in a rolling span of time."""

from __future__ import annotations

from collections import deque


class RollingLimit:
    """At most `limit` requests in any `span` ms; 0 is no limit."""

    def __init__(self, limit: int, span: int) -> None:
        self._limit = limit
        self._span = span
        # Moments and how many requests each had: with a frozen clock, many have the same.
        self._counted: deque[tuple[int, int]] = deque()
        self._total = 0

    def wait(self, now: int) -> int | None:
        """Return the ms until one more request is allowed; None if it is."""
        while self._counted and self._counted[0][0] <= now - self._span:
            self._total -= self._counted.popleft()[1]
        if not self._limit or self._total < self._limit:
            return None
        return self._counted[0][0] + self._span - now

    def count(self, now: int) -> None:
        """Count a request."""
        if self._limit:
            last, number = self._counted.pop() if self._counted else (now, 0)
            if last != now:
                self._counted.append((last, number))
                number = 0
            self._counted.append((now, number + 1))
            self._total += 1
