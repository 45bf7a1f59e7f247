"""The bound on the memory of a test process (tests/conftest.py), in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = """
import tests.conftest
from tests.conftest import *
tests.conftest.BOUND_MB = 300
"""
TESTS = """
def test_small(): pass
def test_large(): assert b"x" * (400 << 20)
def test_after(): pass
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_the_test_that_passes_the_bound_fails_and_no_other(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "test_it.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "3 passed, 1 error" in run.stdout
    assert (
        "ERROR test_it.py::test_large - Failed: test_it.py::test_large: the process" in run.stdout
    )
    assert "MB at its worst, more than 300" in run.stdout
