"""A way to PostgreSQL that fails at a chosen moment."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import psycopg

CUT = "cut"
DOWN = "down"


def error(sqlstate: str) -> bytes:
    """An ErrorResponse of PostgreSQL's protocol, without what it is about."""
    fields = (b"SFATAL", b"VFATAL", b"C" + sqlstate.encode(), b"Mno more of this", b"")
    body = b"\0".join(fields) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


class CuttingProxy:
    """A way to the database of ``dsn`` that fails at a chosen moment; a context manager.

    It counts what comes from either side, of all connections together, and when it has counted to a
    number it cuts the connection, or all of them and takes no more, or it answers in the server's
    place with an error, as a pooler does, and hangs up. ``dsn`` is then the way through it, and
    ``seen`` how much has come since the last `strike`.
    """

    def __init__(self, dsn: str) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
        self._to = (str(parts["host"]), int(str(parts["port"])))
        self._parts = parts
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self.seen = 0
        self._at: int | None = None
        self._how = CUT
        self._down = False

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        port = self._server.sockets[0].getsockname()[1]
        where = {"host": "127.0.0.1", "port": str(port), "sslmode": "disable"}
        self.dsn = psycopg.conninfo.make_conninfo("", **{**self._parts, **where})
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            self._cut_all()
            # So that those who wait for them see it.
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def strike(self, at: int | None, how: str = CUT) -> None:
        """Count anew, and fail ``at`` this number; not at all if None.

        Args:
            how: `CUT`, `DOWN`, or the SQLSTATE of an error.
        """

        def begin() -> None:
            self._at, self._how, self.seen, self._down = at, how, 0, False

        self._do(begin)

    def _do(self, deed: Callable[[], None]) -> None:
        async def run() -> None:
            deed()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self._down:
                return
            server, to_server = await asyncio.open_connection(*self._to)
            self._open.add(to_server)
            try:
                ways = (
                    self._pass(reader, to_server, writer, from_client=True),
                    self._pass(server, writer, to_server, from_client=False),
                )
                await asyncio.gather(*ways)
            finally:
                self._close(to_server)
        except OSError:
            pass  # the server is stopped: so is the client's connection
        finally:
            self._close(writer)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        *,
        from_client: bool,
    ) -> None:
        with suppress(ConnectionError):
            while (chunk := await reader.read(65536)) and self._goes_on(back, from_client):
                writer.write(chunk)
                await writer.drain()
        self._close(writer)
        self._close(back)

    def _goes_on(self, back: asyncio.StreamWriter, from_client: bool) -> bool:
        self.seen += 1
        if self._at is None or self.seen < self._at:
            return not self._down
        if self._how not in (CUT, DOWN):
            if not from_client:
                return True  # the next word of a client is answered
            back.write(error(self._how))
        self._at = None
        if self._how == DOWN:
            self._down = True
            self._cut_all()
        return False

    def _cut_all(self) -> None:
        for writer in list(self._open):
            self._close(writer)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()
