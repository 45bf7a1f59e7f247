"""A process that has the libraries loaded, and forks itself for each job of a run (Linux).

Loading torch, pandas and what needs them takes seconds of processor time, more than many a job.
Snakemake starts the worker with its first job and ends it with its last. A job's own process
(`python -m pipeline ...`) asks it to fork, hands over its files, arguments and environment,
forwards signals, and ends as the fork ends: Snakemake, logs, records and messages are the same.

Where there is no worker that can do the job, its process does it itself: for a person, a test, on a
cluster's node, in another environment, after the worker was killed. The fork is killed with the
job's process, with the worker and with Snakemake, however these end. Nothing touches a GPU or
starts a thread before a fork.

The socket is an abstract one, which leaves no file; both ends look at the other's user.
"""

import gc
import importlib
import json
import os
import runpy
import secrets
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pipeline.jobs import process

VARIABLE = "PIPELINE_WORKER"  # number of the process whose jobs it serves, and its socket's name
# What most jobs load; what one job alone needs (mlflow, matplotlib, scipy) is loaded by that job.
LOADED = (
    *("pipeline.cli", "pipeline.runs.job", "pipeline.runs.profile", "pipeline.runs.reference"),
    *("pipeline.jobs.recipes", "pipeline.jobs.restore", "pipeline.data.episodes"),
    *("torchdiffeq", "torch._dynamo"),  # the second is loaded by the first optimiser
)
SERVED = ("build_reference", "meta_train", "profile_cost", "run_study")  # rules that load torch
WORTHWHILE = 3  # jobs of them from which on a worker saves time
# As Snakemake sets them for a job of one thread (libraries read them when they are loaded).
THREADS = dict.fromkeys(
    (
        *("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
        *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
    ),
    "1",
)
ARROW = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # else it has a thread once loaded
# What may differ between a job's environment and the worker's.
OWN = ("_", "SHLVL", "PWD", "OLDPWD", "TMPDIR", "TMP", "TEMPDIR", "TEMP", process.VARIABLE, *ARROW)
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ACCEPTED = b"y"
_PATIENCE_S = 10.0  # with a client that does not finish its request
_SIZE = struct.Struct("!Q")
_STATUS = struct.Struct("!i")

_STARTED: list[tuple[subprocess.Popen[bytes], Path]] = []  # with their logs


# In Snakemake's process.


def start(code: Path, log: Path) -> None:
    """Start a worker for the jobs that this process will have.

    Args:
        code: the folder that holds `pipeline`, as jobs have it.
        log: what the worker says; each job has a log of its own.
    """
    if sys.platform != "linux" or not process.torch_fits():
        return
    name = secrets.token_hex(16)
    with suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen(128)  # jobs that come while the libraries are loaded wait
        os.environ[VARIABLE] = f"{os.getpid()} {name}"
        own = {**os.environ, **THREADS, **ARROW, "PYTHONPATH": str(code)}
        own["PATH"] = f"{Path(sys.executable).parent}:{own.get('PATH', os.defpath)}"
        own[process.VARIABLE] = str(os.getpid())
        own.setdefault(*process.SILENT)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as said:
            started = subprocess.Popen(
                [sys.executable, "-m", "pipeline.jobs.worker", str(listener.fileno())],
                env=own,
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        _STARTED.append((started, log))


def stop() -> None:
    """End the worker at an orderly end; say it where it has ended before."""
    os.environ.pop(VARIABLE, None)
    while _STARTED:
        worker, log = _STARTED.pop()
        if worker.poll() is not None:
            print(
                f"{log}: the process that jobs are forked from ended early. The jobs did without, "
                "each loading the libraries itself.",
                file=sys.stderr,
            )
        worker.terminate()
        worker.wait()


# In a job's process.


def hand_over() -> None:
    """Let the worker do this job, and end as it ends; return where none can."""
    parent, _, name = os.environ.get(VARIABLE, "").partition(" ")
    if not name or parent != os.environ.get(process.VARIABLE):
        return  # none, or that of another process, of another machine perhaps
    with socket.socket(socket.AF_UNIX) as worker:
        try:
            worker.connect(f"\0{name}")
            if _user(worker) != os.getuid():
                return
            request = {"arguments": sys.argv[1:], "environment": dict(os.environ), **_place()}
            text = json.dumps(request).encode()
            socket.send_fds(worker, [_SIZE.pack(len(text))], [0, 1, 2])
            worker.sendall(text)
            if worker.recv(1) != _ACCEPTED:
                return
        except OSError:
            return
        for number in FORWARDED:
            signal.signal(number, lambda given, _: worker.sendall(bytes([given])))
        _end_as(_read(worker, _STATUS.size))


def _end_as(status: bytes | None) -> NoReturn:
    if status is None:
        print("error: the worker of this run was killed, and the job with it.", file=sys.stderr)
        sys.exit(1)
    (code,) = _STATUS.unpack(status)
    if code < 0:  # by a signal
        with suppress(OSError):  # SIGKILL has no other
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


# In the worker, and in its forks.


def main() -> None:
    """Serve until killed; in a fork: do the job, as `python -m pipeline` would."""
    process.die_with_parent()
    process.escape_what_encoding_lacks()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: it is Snakemake that ends this
    own = os.getpid()
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))), own)
    runpy.run_module("pipeline", run_name="__main__", alter_sys=True)


@dataclass(frozen=True)
class _Request:
    """What a job's process asks for; its standard files are 0, 1 and 2 of `files`."""

    arguments: list[str]
    environment: dict[str, str]
    files: list[int]


@dataclass(frozen=True)
class _Fork:
    """A job in work: its process, a handle of that, and who asked for it."""

    number: int
    handle: int
    client: socket.socket


def _serve(listener: socket.socket) -> _Request:
    """Fork for each request; return it in the fork."""
    own = _told(os.environ)  # before libraries add to it as they are loaded
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    forks: set[_Fork] = set()
    loaded = False
    while True:
        for key, _ in selector.select():
            fork: _Fork | None = key.data
            if fork is None:
                client, _ = listener.accept()
                request = _read_request(client, own)
                if request is None:
                    client.close()
                    continue
                if not loaded:
                    _load()
                    loaded = True
                number = os.fork()
                if not number:
                    selector.close()
                    for one in (listener, client, *(other.client for other in forks)):
                        one.close()
                    for other in forks:
                        os.close(other.handle)
                    return request
                for file in request.files:
                    os.close(file)
                fork = _Fork(number, os.pidfd_open(number), client)
                forks.add(fork)
                selector.register(client, selectors.EVENT_READ, fork)
                selector.register(fork.handle, selectors.EVENT_READ, fork)
                with suppress(OSError):  # it is gone, which is seen next
                    client.sendall(_ACCEPTED)
            elif fork not in forks:
                continue  # ended in this round
            elif key.fd == fork.handle:
                forks.remove(fork)
                _end(fork, selector)
            else:
                given = _received(fork.client)
                for number in given or [signal.SIGKILL]:
                    os.kill(fork.number, number)  # not yet waited for: the number is still its own
                if not given:
                    selector.unregister(fork.client)


def _end(fork: _Fork, selector: selectors.BaseSelector) -> None:
    """Tell a job's process how its fork ended."""
    status = os.waitstatus_to_exitcode(os.waitpid(fork.number, 0)[1])
    selector.unregister(fork.handle)
    os.close(fork.handle)
    with suppress(KeyError):  # gone before
        selector.unregister(fork.client)
    with suppress(OSError):
        fork.client.sendall(_STATUS.pack(status))
    fork.client.close()


def _received(client: socket.socket) -> bytes:
    """Numbers of signals; empty when the process is gone."""
    try:
        return client.recv(64)
    except OSError:
        return b""


def _read_request(client: socket.socket, own: dict[str, str]) -> _Request | None:
    """What a job's process asks for; None when that is another's, or its environment `own` is not.

    What libraries read when they are loaded has to be what they have read.
    """
    files: list[int] = []
    try:
        client.settimeout(_PATIENCE_S)
        if _user(client) != os.getuid():
            return None
        head, files, _, _ = socket.recv_fds(client, _SIZE.size, 3)
        head += _read(client, _SIZE.size - len(head)) or b""
        given = json.loads(_read(client, *_SIZE.unpack(head)) or b"")
        client.settimeout(None)
        place = {name: given[name] for name in _place()}
        if len(files) == 3 and place == _place() and _told(given["environment"]) == own:
            return _Request(given["arguments"], given["environment"], files)
    except (OSError, ValueError, KeyError, struct.error):
        pass
    for file in files:
        os.close(file)
    return None


def _place() -> dict[str, str]:
    """What a job's process and the worker have to have in common."""
    return {"prefix": sys.prefix, "folder": str(Path.cwd()), "code": process.__file__}


def _told(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what each job has of its own."""
    return {name: value for name, value in environment.items() if name not in OWN}


def _load() -> None:
    """Load what most jobs need. Where that starts a thread, no fork is safe: the worker ends."""
    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()  # what is loaded is not looked through, and so not copied, by each fork
    if len([*Path("/proc/self/task").iterdir()]) != 1:
        sys.exit(1)


def _become(request: _Request, worker: int) -> None:
    """Be the process that asked: its files, arguments, environment and signals."""
    os.setpgid(0, 0)  # a terminal's Ctrl-C goes to the job's process, which forwards it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for standard, file in enumerate(request.files):
        os.dup2(file, standard)
        os.close(file)
    os.environ.clear()
    os.environ.update(request.environment)
    os.environ.pop(VARIABLE, None)
    os.environ[process.VARIABLE] = str(worker)  # it dies with that, as with Snakemake
    tempfile.tempdir = None  # asked for anew
    sys.argv = ["pipeline", *request.arguments]


def _user(connected: socket.socket) -> int:
    """The user whose process is at the other end."""
    credentials = struct.Struct("3i")  # process, user, group
    found = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    return int(credentials.unpack(found)[1])


def _read(connected: socket.socket, size: int) -> bytes | None:
    """So many bytes; None when the other end is gone."""
    got = b""
    while len(got) < size:
        more = connected.recv(size - len(got))
        if not more:
            return None
        got += more
    return got


if __name__ == "__main__":
    main()
