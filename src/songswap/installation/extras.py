"""The extras of the package: checks that those a command needs are installed."""

import re
from importlib.metadata import PackageNotFoundError, distribution

from songswap.errors import SettingsError

_DISTRIBUTION = "songswap-airflow"
# Requirements of single systems have longer markers, and are not checked.
_OF_AN_EXTRA = re.compile(r"([\w.-]+)[^;]*; extra == '(\w+)'")


def require_extras(*extras: str) -> None:
    """Make sure that the packages of these extras are installed, without importing them.

    Raises:
        SettingsError: a package is missing; the text says how to install them all.
    """
    for text in distribution(_DISTRIBUTION).requires or ():
        found = _OF_AN_EXTRA.fullmatch(text)
        if found and found[2] in extras and not _is_installed(found[1]):
            raise SettingsError(
                f"{found[1]} of the extra '{found[2]}' is not installed. Nothing was done."
                f" Install it with: {pip_command(*extras)}"
            )


def pip_command(*extras: str) -> str:
    """The command that adds these extras to the installed package."""
    return f"pip install '{_DISTRIBUTION}[{','.join(extras)}]'"


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
