"""Files that only their owner can read: passwords, keys, rights."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically, with mode 0600."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
