"""A tracking server as a group would run it: `mlflow server` on PostgreSQL, its artifacts on S3.

All are started here, in folders of their own, and end with the tests: Debian's postgresql, and
moto's server in the place of S3.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import requests

BUCKET = "artifacts"
KEYS = {"AWS_ACCESS_KEY_ID": "of-a-test", "AWS_SECRET_ACCESS_KEY": "of-a-test"}
MODULES = ("psycopg2", "boto3", "moto", "playwright")


def lacking() -> str | None:
    """What has to be installed before such a server can be started."""
    if not _postgres("initdb"):
        return "needs Debian's postgresql: apt-get install postgresql"
    if missing := [name for name in MODULES if find_spec(name) is None]:
        return f"needs {', '.join(missing)}: pip install -e '.[services]', or make test-services"
    return None


@dataclass
class Server:
    """`mlflow server`; it can be killed, and started again where it was."""

    command: Sequence[str]
    environment: dict[str, str]
    folder: Path
    address: str
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.process = _start(self.command, self.folder / "mlflow.log", self.environment)
        _wait_for(f"{self.address}/health", self.process, self.folder / "mlflow.log")

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=30)
            self.process = None


@contextmanager
def tracking_server() -> Iterator[Server]:
    """A running server; what it is made of ends after it."""
    with ExitStack() as stack:
        # not below pytest's folder, in which the user that runs PostgreSQL may not look
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="services-")))
        folder.chmod(0o755)
        database = stack.enter_context(_database(folder))
        s3 = stack.enter_context(_object_storage(folder))
        port = _free_port()
        mlflow = str(Path(sys.executable).with_name("mlflow"))
        server = Server(
            [
                *(mlflow, "server", "--backend-store-uri", database, "--workers", "2"),
                *("--artifacts-destination", f"s3://{BUCKET}", "--port", str(port)),
            ],
            KEYS | {"MLFLOW_S3_ENDPOINT_URL": s3, "MLFLOW_DISABLE_TELEMETRY": "true"},
            folder,
            f"http://127.0.0.1:{port}",
        )
        stack.callback(server.kill)
        server.start()
        yield server


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    """A PostgreSQL server in a folder; it refuses to run as root."""
    data, port = folder / "postgres", _free_port()
    data.mkdir()
    user = None
    if os.getuid() == 0:
        user = "postgres"
        shutil.chown(data, user)
    initdb = [_postgres("initdb"), "-D", str(data), "-U", "mlflow", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    options = ["-D", str(data), "-p", str(port), "-k", str(data), "-h", "127.0.0.1", "-F"]
    with (folder / "postgres.log").open("w") as said:
        server = subprocess.Popen(
            [_postgres("postgres"), *options], user=user, cwd=data, stdout=said, stderr=said
        )
    try:
        import psycopg2

        limit = time.monotonic() + 60
        while True:
            try:
                psycopg2.connect(
                    host="127.0.0.1", port=port, user="mlflow", dbname="postgres"
                ).close()
                break
            except psycopg2.OperationalError:
                assert server.poll() is None, (folder / "postgres.log").read_text()
                assert time.monotonic() < limit, "PostgreSQL did not start"
                time.sleep(0.2)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown
        server.wait(timeout=30)


@contextmanager
def _object_storage(folder: Path) -> Iterator[str]:
    """moto's server in the place of S3, with an empty bucket."""
    import boto3

    address = f"http://127.0.0.1:{(port := _free_port())}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = _start(command, folder / "moto.log", {})
    try:
        _wait_for(f"{address}/moto-api/data.json", server, folder / "moto.log")
        keys = {"aws_access_key_id": "of-a-test", "aws_secret_access_key": "of-a-test"}
        s3 = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
        s3.create_bucket(Bucket=BUCKET)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def stored(server: Server) -> list[str]:
    """Keys of the objects in the bucket."""
    import boto3

    keys = {"aws_access_key_id": "of-a-test", "aws_secret_access_key": "of-a-test"}
    s3 = boto3.client(
        "s3",
        endpoint_url=server.environment["MLFLOW_S3_ENDPOINT_URL"],
        region_name="us-east-1",
        **keys,
    )
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _start(
    command: Sequence[str], log: Path, environment: dict[str, str]
) -> "subprocess.Popen[bytes]":
    kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    with log.open("a") as said:
        return subprocess.Popen(
            command,
            cwd=log.parent,
            env=kept | environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for(url: str, server: "subprocess.Popen[bytes]", said: Path) -> None:
    limit = time.monotonic() + 120
    while time.monotonic() < limit and server.poll() is None:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.3)
    raise AssertionError(f"{url} does not answer:\n{said.read_text(encoding='utf-8')}")


def _postgres(name: str) -> str:
    """A program of PostgreSQL; Debian keeps them outside the path. "" where there is none."""
    found = shutil.which(name)
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        found = found or shutil.which(name, path=str(folder))
    return found or ""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
