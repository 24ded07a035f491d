"""HTTP calls to the stack's parts on 127.0.0.1, and free ports for them.

The calls are few, small and sequential, so the standard library suffices. Proxies are ignored: none
could reach 127.0.0.1.
"""

import json
import random
import socket
import urllib.request
from typing import Any
from urllib.error import HTTPError, URLError

__all__ = ["HTTPError", "URLError", "call", "call_json", "free_port"]

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(method: str, url: str, body: object = None, token: str | None = None) -> bytes:
    """Send a request and return the response's body.

    Args:
        body: is sent as JSON.
        token: is sent as a bearer token.

    Raises:
        HTTPError: the response's status is 400 or above.
        URLError: there was no response.
    """
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  (ours)
    with _opener.open(request, timeout=60) as response:
        return bytes(response.read())


def call_json(method: str, url: str, body: object = None, token: str | None = None) -> Any:
    """The same, with the JSON decoded; None when the body is empty."""
    text = call(method, url, body, token)
    return json.loads(text) if text else None


def free_port() -> int:
    """A free TCP port of 127.0.0.1, outside the range of outgoing connections.

    Raises:
        OSError: none was found.
    """
    for _ in range(100):
        port = random.randint(20_000, 32_000)  # noqa: S311 - not a secret
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise OSError("None of 100 ports tried on 127.0.0.1 was free.")
