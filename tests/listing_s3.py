"""An S3 endpoint that has what it is told: also keys that end with a slash, as consoles make them,
and objects that are listed and cannot be got."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class ListingS3:
    """Its address, its objects by key, the status of those that cannot be got, and what was got."""

    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    got: list[str] = field(default_factory=list)
    is_away: bool = False


@contextmanager
def listing_s3() -> Iterator[ListingS3]:
    """The endpoint, listening, with one bucket of any name. No signature is checked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            split = urlsplit(self.path)
            key = unquote(split.path).removeprefix("/").partition("/")[2]
            if store.is_away:
                self.answer(503, b"")
            elif not key:
                query = parse_qs(split.query)
                self.answer(200, listed(store, query["prefix"][0], "delimiter" in query))
            elif key in store.failing:
                self.answer(store.failing[key], b"")
            elif key in store.objects:
                store.got.append(key)
                self.answer(200, store.objects[key])
            else:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"x"')
            self.send_header("Last-Modified", "Sun, 22 Nov 2026 18:00:00 GMT")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store = ListingS3(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def listed(store: ListingS3, prefix: str, by_folder: bool) -> bytes:
    """The answer to ListObjectsV2, whole; with the delimiter ``/``, if asked for."""
    names = {key: key.removeprefix(prefix) for key in store.objects if key.startswith(prefix)}
    below = {key for key, name in names.items() if by_folder and "/" in name}
    folders = "".join(
        f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
        for folder in sorted({f"{prefix}{names[key].partition('/')[0]}/" for key in below})
    )
    contents = "".join(
        f"<Contents><Key>{escape(key, {chr(13): '&#13;'})}</Key>"
        "<LastModified>2026-11-22T18:00:00.000Z</LastModified>"
        f"<ETag>x</ETag><Size>{len(body)}</Size></Contents>"
        for key, body in sorted(store.objects.items())
        if key in names.keys() - below
    )
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>false</IsTruncated>{contents}{folders}</ListBucketResult>"
    ).encode()
