"""How many examples a property test draws."""

from hypothesis import settings


def examples(share: float) -> int:
    """A share of the examples of the profile in use, so that both profiles hold for the test."""
    profile = settings.default
    assert profile is not None
    return round(profile.max_examples * share)
