"""The listing of the embedded S3 endpoint, against what S3 says of it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from songswap.dev.stack.listing import Storage

BUCKET = "bucket"
NAMES = st.text("ab.-0é\U0001f3b5", min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..")
)
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PREFIXES = st.one_of(st.just(""), KEYS, KEYS.map("{}/".format))


async def _body() -> AsyncIterator[bytes]:
    yield b"body"


def without_files_as_folders(keys: Iterable[str]) -> list[str]:
    """The keys that can be files of one folder: S3 itself may have `a` beside `a/b`."""
    kept: list[str] = []
    for key in sorted(set(keys)):
        if not any(key.startswith(f"{other}/") for other in kept):
            kept.append(key)
    return kept


def stored(folder: Path, keys: Sequence[str]) -> Storage:
    storage = Storage(folder)
    storage.create_bucket(BUCKET)

    async def put_all() -> None:
        for key in keys:
            await storage.put_object(BUCKET, key, _body())

    asyncio.run(put_all())
    return storage


def expected(keys: Sequence[str], prefix: str, after: str, *, folded: bool) -> list[str]:
    """Keys and common prefixes as S3 rolls them up, in the order of their bytes."""
    found: list[str] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key <= after:
            continue
        rest = key[len(prefix) :]
        entry = prefix + rest.partition("/")[0] + "/" if folded and "/" in rest else key
        if entry not in found and entry != after:
            found.append(entry)
    return found


def listed(storage: Storage, prefix: str, after: str, most: int, *, folded: bool) -> list[str]:
    """All pages, each within its size and no entry in two of them."""
    entries: list[str] = []
    token = None
    while True:
        page = storage.list_objects(
            BUCKET,
            prefix=prefix,
            delimiter="/" if folded else None,
            max_keys=most,
            continuation_token=token,
            start_after=after,
        )
        keys = [found.key for found in page.contents]
        assert len(keys) + len(page.common_prefixes) <= most
        entries += sorted([*keys, *page.common_prefixes], key=str.encode)
        token = page.next_continuation_token
        assert page.is_truncated == (token is not None)
        if not page.is_truncated:
            return entries


@settings(deadline=None, max_examples=examples(0.6))
@given(
    keys=st.lists(KEYS, max_size=8).map(without_files_as_folders),
    prefix=PREFIXES,
    after=PREFIXES,
    folded=st.booleans(),
    most=st.integers(1, 4),
)
def test_pages_have_all_keys_in_their_order(
    tmp_path_factory: pytest.TempPathFactory,
    keys: list[str],
    prefix: str,
    after: str,
    folded: bool,
    most: int,
) -> None:
    """With any prefix and start, each key or common prefix is in one page, after smaller ones."""
    storage = stored(tmp_path_factory.mktemp("objects"), keys)
    entries = listed(storage, prefix, after, most, folded=folded)
    assert entries == expected(keys, prefix, after, folded=folded)


def test_last_page_is_said_to_be_the_last(tmp_path: Path) -> None:
    """A full page after which nothing comes costs no further request."""
    storage = stored(tmp_path, ["a", "b"])
    page = storage.list_objects(BUCKET, max_keys=2)
    assert [found.key for found in page.contents] == ["a", "b"]
    assert not page.is_truncated
    assert storage.list_objects(BUCKET, max_keys=1).is_truncated
    assert storage.list_objects(BUCKET, max_keys=0).contents == []


@pytest.mark.parametrize(
    "prefix", ["../", "../other/", "./", "/", "//", "folder//", ".nanio-meta/", "link/"]
)
def test_prefix_leaves_no_bucket(tmp_path: Path, prefix: str) -> None:
    """A prefix that no key has lists nothing, whatever lies there on the disk."""
    storage = stored(tmp_path / "objects", ["folder/key"])
    for folder in (tmp_path / "objects" / "other", tmp_path / "outside"):
        folder.mkdir()
        (folder / "key").touch()
    (tmp_path / "objects" / BUCKET / "link").symlink_to(tmp_path / "outside")
    page = storage.list_objects(BUCKET, prefix=prefix)
    assert (page.contents, page.common_prefixes) == ([], [])
