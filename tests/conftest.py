"""Tests whose simulator is not there are skipped; `make test` without TESTS sees to it that both are. A browser."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sim.tools.errors import ToolError
from tests.pulse import Pulse

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
          "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage")

# How far a command is when the machine is slow is no part of what tests compare.
os.environ["SEEDLM_PROGRESS"] = "0"
# Kernels for GPUs run on processors. Triton looks for this when it is imported.
os.environ["TRITON_INTERPRET"] = "1"


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    try:
        return (yield)
    except ToolError as error:
        if str(error).startswith("Icarus Verilog is not installed"):
            pytest.skip(str(error))
        raise


@pytest.fixture
def browser(tmp_path: Path) -> "Iterator[Chrome]":
    """Chromium without a window, which takes seconds to start."""
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        if os.environ.get("CI"):
            pytest.fail("there is no chromium or no chromedriver: `make test` installs both as root on Debian")
        pytest.skip("there is no chromium or no chromedriver: `apt-get install chromium chromium-driver`")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, "--window-size=1200,900", f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.hookimpl(trylast=True)  # the reporter is there then
def pytest_configure(config: pytest.Config) -> None:
    """Of pytest-xdist, the process that runs no tests: what another one prints meanwhile would be a test's output."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if (reporter and not reporter.isatty and config.getoption("dist", "no") != "no"
            and not hasattr(config, "workerinput")):
        config.pluginmanager.register(Pulse(config), "pulse")
