"""Files that only their owner may read: passwords, keys, rules."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Writes a file with mode 0600 that is either the old one or the whole new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
