"""The page's static files: a path that names their content, and what each is served as.

Every process of Airflow imports this through the plugin: it imports next to nothing.
"""

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent / "static"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def version() -> str:
    """Return a hash of all static files.

    It is a folder of their addresses, so browsers keep each file for ever, and no page mixes the
    modules of two releases.
    """
    digest = hashlib.sha256()
    for path in sorted(FOLDER.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def address(name: str) -> str:
    """Return the address of a file, below Airflow's own: without a slash at the beginning."""
    return f"songswap/static/{VERSION}/{name}"


VERSION = version()
