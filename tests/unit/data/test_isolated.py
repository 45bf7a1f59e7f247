"""Work in a process of its own: what it yields, how it may end, and that nothing is left of it."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.data.isolated import Ended, isolated
from pipeline.errors import BadInput

ROOT = Path(__file__).parents[3]
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds and tells")


def counted(last):
    yield from range(last)


def raising(error):
    yield "first"
    raise error


def ask_for(size):
    yield len(bytearray(size))


def crash(number):
    os.kill(os.getpid(), number)
    yield


def sleep(seconds):
    yield os.getpid()
    time.sleep(seconds)


def ended(work, *given, seconds=20.0, memory=None):
    with pytest.raises(Ended) as caught:
        list(isolated(work, *given, seconds=seconds, memory=memory))
    return str(caught.value)


def is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_values_come_in_order():
    assert list(isolated(counted, 3, seconds=20.0)) == [0, 1, 2]


@pytest.mark.parametrize("error", [BadInput("bad"), OSError(errno.EACCES, "no", "file")])
def test_errors_that_the_user_can_mend_pass(error):
    with pytest.raises(type(error)) as caught:
        list(isolated(raising, error, seconds=20.0))
    assert str(caught.value) == str(error)


class Panic(BaseException):
    """As Rust code raises it."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("odd\n\x1b[31m thing"), "ValueError: odd [31m thing"),
        (OSError("a library's own"), "OSError: a library's own"),
        (Panic("index out of bounds"), "Panic: index out of bounds"),
        (RecursionError("x" * 10_000), "RecursionError: xxx"),
        (SystemExit(0), "SystemExit: 0"),
    ],
)
def test_any_other_exception_is_one_short_line(error, said):
    text = ended(raising, error)
    assert text.startswith(said)
    assert len(text) <= 160
    assert text.isprintable()


@needs_linux
def test_too_much_memory_is_refused_and_a_little_is_not():
    assert list(isolated(ask_for, 50 << 20, seconds=20.0, memory=200 << 20)) == [50 << 20]
    assert ended(ask_for, 400 << 20, memory=200 << 20) == "more than 210 MB of memory asked for"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_is_named(number):
    assert ended(crash, number) == f"the reader crashed ({number.name})"


def test_no_end_in_time():
    started = time.monotonic()
    assert ended(sleep, 60, seconds=0.3) == "no end after 0.3 s"
    assert time.monotonic() - started < 10


def test_nothing_is_left_of_work_that_is_given_up():
    work = isolated(sleep, 60, seconds=60.0)
    process = next(work)
    assert is_there(process)
    work.close()
    assert not is_there(process)


def test_what_is_written_to_stderr_is_dropped(capfd):
    def talk():
        os.write(2, b"panicked at")
        yield 1

    assert list(isolated(talk, seconds=20.0)) == [1]
    assert capfd.readouterr().err == ""


def test_it_dies_with_its_parent():
    code = (
        "import time\n"
        "from pipeline.data.isolated import isolated\n"
        "from tests.unit.data.test_isolated import sleep\n"
        "work = isolated(sleep, 60, seconds=60.0)\n"
        "print(next(work), flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    process = int(parent.stdout.readline())
    assert is_there(process)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while is_there(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_there(process)
