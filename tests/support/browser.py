"""Headless Chromium without a network, for the tests of the page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
REQUIRED = os.environ.get("CONVBENCH_BROWSER") == "required"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed browser. Without one, the tests are skipped, or fail if CONVBENCH_BROWSER is `required`."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        say = pytest.fail if REQUIRED else pytest.skip
        say("no chromium on the PATH: install it (Debian: apt-get install chromium) to test the page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


class Opened:
    """A page that was opened from disk, with its requests and its errors."""

    def __init__(self, browser: Browser, file: Path, **options: object) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **options}
        )
        self.context.set_offline(True)
        self.context.set_default_timeout(20_000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        # only the request for the file itself gets an answer
        self.context.route(lambda url: url != file.as_uri(), lambda route: route.abort())
        self.page.goto(file.as_uri())
        self.page.locator("#count").filter(has_text="rows").wait_for()

    def all_drawn(self) -> None:
        """Wait for every chart."""
        figures = self.page.locator("[data-figure]").count()
        self.page.locator(".drawing.drawn").nth(figures - 1).wait_for(state="attached")

    def column(self, key: str) -> list[str]:
        """The texts in one column of the visible rows."""
        heads = self.page.locator("thead button").evaluate_all("all => all.map(b => b.dataset.sort)")
        place = heads.index(key) + 1
        return self.page.locator(f"#table tbody tr[data-row] > :nth-child({place})").all_inner_texts()

    def count(self) -> tuple[int, int]:
        """The number of rows that match the filters, and the number of all rows."""
        found, _, total, _ = self.page.locator("#count").inner_text().replace(",", "").split()
        return int(found), int(total)


@contextmanager
def opened(browser: Browser, file: Path, **options: object) -> Iterator[Opened]:
    """A page in a separate browser context. In every test it must report no errors and fetch nothing."""
    page = Opened(browser, file, **options)
    yield page
    page.context.close()
    assert page.complaints == []
    assert {url for url in page.requests if not url.startswith("data:")} == {file.as_uri()}
