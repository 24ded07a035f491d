"""The package's own code, by a digest: two machines with the same one do the same."""

from functools import cache
from hashlib import sha256
from pathlib import Path

import songswap

_KINDS = (".py", ".sql")
_BESIDE = "files"
"""The folder of a wheel that is no part of the package, which a clone has elsewhere."""


@cache
def digest() -> str:
    """Return the SHA-256 of all code and statements of the installed package."""
    folder = Path(songswap.__file__).parent
    found = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _KINDS):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(f"{_BESIDE}/"):
            found.update(f"{name}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()
