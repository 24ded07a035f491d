"""The extras of the package: what a command needs of them, and the sentence where it is missing."""

import re
from importlib.metadata import PackageNotFoundError, distribution

from songswap.errors import SettingsError

_DISTRIBUTION = "songswap-airflow"
# What only some systems need has more of a marker: it is not looked at.
_OF_AN_EXTRA = re.compile(r"([\w.-]+)[^;]*; extra == '(\w+)'")


def require_extras(*extras: str) -> None:
    """Make sure that what these extras bring is installed; imports nothing of it.

    Raises:
        SettingsError: something is not; says how all of it is installed.
    """
    for text in distribution(_DISTRIBUTION).requires or ():
        found = _OF_AN_EXTRA.fullmatch(text)
        if found and found[2] in extras and not _is_installed(found[1]):
            raise SettingsError(
                f"{found[1]} is not installed, it is of the extra '{found[2]}'. Nothing was done."
                f" Install it with: {pip_command(*extras)}"
            )


def pip_command(*extras: str) -> str:
    """What installs these extras beside the package, which is there already."""
    return f"pip install '{_DISTRIBUTION}[{','.join(extras)}]'"


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
