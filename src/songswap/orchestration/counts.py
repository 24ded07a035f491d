"""Counts, as the tasks log them."""

from collections.abc import Mapping


def as_text(counts: Mapping[str, int]) -> str:
    """Name all counts that are not zero; "nothing" where all are."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "nothing"
