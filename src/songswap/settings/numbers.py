"""Numbers in environment variables."""

from collections.abc import Mapping

from songswap.errors import SettingsError


def whole(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """Read a whole number; ``default`` if it is not set.

    Raises:
        SettingsError: it is no number from ``low`` to ``high``.
    """
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise SettingsError(f"{name} has to be a whole number of {low} to {high}, not {text!r}.")
    return number
