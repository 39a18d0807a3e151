"""A browser for the tests of pages."""

from __future__ import annotations

import pytest
from browser import Browser, resize


@pytest.fixture
def browser(driver):
    """The browser at its usual width; a message on its console fails the test."""
    resize(driver, 1280)
    driver.get_log("browser")
    yield Browser(driver)
    assert driver.get_log("browser") == []
