"""Debian's chromium without a window, for tests of pages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any


def lacking() -> str:
    """Return what is missing for a browser, in words, or nothing."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return ""


def open_browser() -> Any:
    """Start a browser that keeps its console's messages, or return None where there is none."""
    if lacking():
        return None
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    arguments = ["--headless=new", "--disable-dev-shm-usage", "--window-size=1280,900", "--force-device-scale-factor=1"]
    for argument in [*arguments, *(["--no-sandbox"] if os.geteuid() == 0 else [])]:  # root has no sandbox
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


class Browser:
    """A few ways to read a page and to act on it, by CSS selectors."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        self.driver.get("about:blank")
        self.driver.get(page.as_uri())

    def all(self, selector: str) -> list:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def texts(self, selector: str) -> list[str]:
        return self.ask(f"return [...document.querySelectorAll({selector!r})].map(e => e.textContent)")

    def ask(self, script: str):
        return self.driver.execute_script(script)

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.one(selector)).select_by_value(value)

    def search(self, words: str) -> None:
        self.one("#search").clear()
        self.one("#search").send_keys(words)

    def qids(self) -> list[str]:
        """Return the topics of the rows that are elements, from the top."""
        rows = self.ask(
            "return [...document.querySelectorAll('.row')].map(r => [Number(r.getAttribute('aria-posinset')), r.dataset.qid])"
        )
        return [qid for _, qid in sorted(rows)]


def resize(driver, width: int) -> None:
    """Set the page's width; windows have a least one, which is more than a telephone's."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
