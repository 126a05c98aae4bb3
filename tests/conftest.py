"""Tests whose simulator is not there are skipped; `make test` without TESTS sees to it that both are."""

from collections.abc import Generator

import pytest

from sim.tools.errors import ToolError


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    try:
        return (yield)
    except ToolError as error:
        if str(error).startswith("Icarus Verilog is not installed"):
            pytest.skip(str(error))
        raise
