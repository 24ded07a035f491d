"""Sessions of requests that connect only to the given address.

By default requests follows redirects, takes proxies and passwords from the environment and the home
folder, and reads bodies of any size without a time limit.
"""

import time
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from songswap.web.bodies import LARGEST

_STEP = 2**16
_LONGEST_S = 60.0
"""The time limit for a body."""


class PlainSession(requests.Session):
    """A session that follows no redirects, ignores the environment, and bounds bodies.

    Raises:
        requests.RequestException: from every request, also for a body that is too large or takes
            too long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request, and read the whole body of the response."""
        response = super().send(request, **{**options, "stream": True, "allow_redirects": False})
        return read_all(response)


def read_all(response: requests.Response) -> requests.Response:
    """Read the body of a streamed response into its `content`.

    Raises:
        requests.RequestException: it cannot be read, is too large, or takes too long.
    """
    ends_at = time.monotonic() + _LONGEST_S
    body = bytearray()
    try:
        while part := response.raw.read1(_STEP, decode_content=True):
            body += part
            if len(body) > LARGEST:
                raise requests.exceptions.ContentDecodingError("the body is too large")
            if time.monotonic() > ends_at:
                raise requests.exceptions.ReadTimeout("the body takes too long")
    except (HTTPError, OSError) as error:
        if isinstance(error, requests.RequestException):
            raise
        raise requests.exceptions.ChunkedEncodingError(type(error).__name__) from error
    finally:
        response.raw.close()
    response._content = bytes(body)
    response._content_consumed = True  # as requests itself does
    return response
