"""A real Chromium, and pages of it that tell what went wrong in them."""

import shutil
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import debian_packages
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    ViewportSize,
    sync_playwright,
)

_ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # the tests may run as root
]


class Watched:
    """A page of a browser, and what it did that it must not.

    Args:
        page: the page.
        site: the only address that it may load from.
    """

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self._site = urlsplit(site)[:2]
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text} {message.location}")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url.removeprefix("blob:"))
        if address.scheme != "data" and address[:2] != self._site:
            self.faults.append(f"request: {request.url}")


class Chromium:
    """A headless Chromium with a profile of its own; a context manager."""

    def __enter__(self) -> Self:
        self._playwright: Playwright = sync_playwright().start()
        self._browser: Browser = self._launch()
        self._contexts: dict[str, BrowserContext] = {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._browser.close()
        self._playwright.stop()

    def open(self, site: str, token: str | None = None) -> Watched:
        """Open an empty page, as somebody who has logged in if there is a token.

        Pages of a site share a cache: Airflow's pages are 7 MB.
        """
        if token is None:
            return Watched(self._context().new_page(), site)
        if site not in self._contexts:
            self._contexts[site] = self._context()
        context = self._contexts[site]
        context.add_cookies([{"name": "_token", "value": token, "url": site}])
        return Watched(context.new_page(), site)

    def _context(self) -> BrowserContext:
        size: ViewportSize = {"width": 1400, "height": 900}
        context = self._browser.new_context(locale="en-US", viewport=size, timezone_id="UTC")
        context.set_default_timeout(120_000)
        return context

    def _launch(self) -> Browser:
        if own := shutil.which("chromium"):
            return self._playwright.chromium.launch(executable_path=own, args=_ARGUMENTS)
        folder = debian_packages.unpacked("chromium")
        return self._playwright.chromium.launch(
            executable_path=str(folder / "usr/lib/chromium/chromium"),
            env={**debian_packages.environment(folder)},
            args=_ARGUMENTS,
        )
