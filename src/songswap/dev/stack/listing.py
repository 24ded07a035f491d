"""List stored objects as S3 does: in the order of the bytes of their keys, a page at a time."""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from nanio.errors import NoSuchKey  # type: ignore[import-untyped]  # nanio has no types
from nanio.storage.backend import ListResult  # type: ignore[import-untyped]  # nanio has no types
from nanio.storage.filesystem import (  # type: ignore[import-untyped]  # nanio has no types
    FilesystemStorage,
)
from nanio.storage.paths import (  # type: ignore[import-untyped]  # nanio has no types
    assert_inside_data_dir,
    is_internal_name,
)

_MOST_KEYS = 1000


class Storage(FilesystemStorage):  # type: ignore[misc]  # nanio has no types
    """nanio's storage, except for its listing.

    That one looks at all folders beside those of the prefix, compares names where S3 compares keys
    (`a.json` is before `a/b`), and gives all common prefixes again with each page.
    """

    def list_objects(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str | None = None,
        max_keys: int = _MOST_KEYS,
        continuation_token: str | None = None,
        start_after: str | None = None,
    ) -> ListResult:
        """Return a page: objects, and with the delimiter `/` the common prefixes beside them.

        The token is the last key or common prefix of the page before.
        """
        root = self._require_bucket_dir(bucket)
        after = continuation_token or start_after or ""
        is_folded = delimiter == "/"
        limit = min(max_keys, _MOST_KEYS)
        found = list(islice(self._entries(root, prefix, after, is_folded=is_folded), limit + 1))
        page, is_truncated = found[:limit], 0 < limit < len(found)
        contents = []
        for key in page:
            if not key.endswith("/"):
                with suppress(NoSuchKey, FileNotFoundError):  # deleted meanwhile
                    contents.append(self._read_or_synthesize_metadata(bucket, key, root / key))
        folders = [key for key in page if key.endswith("/")]
        return ListResult(contents, folders, is_truncated, page[-1] if is_truncated else None)

    def _entries(self, root: Path, prefix: str, after: str, *, is_folded: bool) -> Iterator[str]:
        """Yield keys with a prefix, in order; with `is_folded` folders as they are, with a `/`."""
        *folders, _ = prefix.split("/")
        if any(name in ("", ".", "..") or is_internal_name(name) for name in folders):
            return  # no key has such a part
        folder = "".join(f"{name}/" for name in folders)
        with suppress(PermissionError):  # a link out of the folder of the objects
            assert_inside_data_dir(self.data_dir, root / folder)
            for path in _walk(root, folder, after, is_folded=is_folded):
                if path.startswith(prefix):
                    yield path


def _walk(root: Path, folder: str, after: str, *, is_folded: bool) -> Iterator[str]:
    try:
        entries = list(os.scandir(root / folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in sorted(
        f"{folder}{entry.name}/" if entry.is_dir(follow_symlinks=False) else folder + entry.name
        for entry in entries
        if not is_internal_name(entry.name)
    ):
        is_inside = path.endswith("/") and after.startswith(path)
        if path <= after and not is_inside:
            continue
        if not path.endswith("/"):
            yield path
        elif not is_folded:
            yield from _walk(root, path, after, is_folded=False)
        elif path != after and (not is_inside or any(_walk(root, path, after, is_folded=False))):
            yield path
