"""Debian's chromium without a window, for tests of pages."""

from __future__ import annotations

import os
import shutil
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
