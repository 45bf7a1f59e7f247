"""Freed memory stays with the process, where the C library can be told so."""

import platform
import subprocess
import sys

import pytest

from pipeline.runs import device

ROUNDS = """
import resource
from pipeline.runs.device import keep_freed_memory
{told}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):  # what one meta-update keeps and lets go
    kept = [bytearray(100_000) for _ in range(300)]
    del kept
before = faults()
for _ in range(5):
    kept = [bytearray(100_000) for _ in range(300)]
    del kept
print(faults() - before)
"""

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="told to glibc only")


def page_faults(told: str) -> int:
    command = [sys.executable, "-c", ROUNDS.format(told=told)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@on_glibc
def test_later_rounds_need_no_fresh_pages():
    assert page_faults("assert keep_freed_memory()") < 0.1 * page_faults("")


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not device.keep_freed_memory()
