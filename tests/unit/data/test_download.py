"""Downloads against a real HTTP server on loopback that can be told to misbehave."""

import hashlib
import socket
import threading
import time
from dataclasses import replace

import pytest
import requests
from tenacity import wait_none

from pipeline.data.download import _CHUNK, Unfetched, fetch, obtain, part_of, short_reason
from pipeline.data.sets import SOURCES
from pipeline.errors import BadInput
from tests.archives import some_ratings, tiny_source, write_archive, write_zip
from tests.unit.data.http_server import Server


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("pipeline.data.download._WAIT", wait_none())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def archive(tmp_path):
    """A sound archive, large enough to be broken off."""
    ratings = some_ratings(100, 100)
    return write_archive(tmp_path / "sound.zip", "ml-100k", ratings, stored=True)


@pytest.fixture
def server(archive):
    """A running server of that archive."""
    running = Server(archive.read_bytes())
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def source_at(*urls, content=None):
    """MovieLens-100K at these addresses, with the checksum of `content`."""
    md5 = None if content is None else hashlib.md5(content).hexdigest()
    return replace(SOURCES["ml-100k"], urls=urls, md5=md5)


def get(source, out, *, raw_dir=None, retries=3):
    return obtain(source, out, raw_dir=raw_dir, retries=retries, timeout_s=5.0)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_plain_download(server, tmp_path, capsys):
    out = tmp_path / "raw" / "a.zip"
    assert get(source_at(server.url(), content=server.content), out) == {"from": server.url()}
    assert out.read_bytes() == server.content
    assert left_in(out.parent) == ["a.zip"]
    assert capsys.readouterr().err == ""  # stderr is no terminal here


def test_broken_transfer_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = [10 * _CHUNK, 2 * _CHUNK]
    out = tmp_path / "raw" / "a.zip"
    get(source_at(server.url(), content=server.content), out)
    assert out.read_bytes() == server.content
    assert [status for _, _, status in server.log] == [200, 206, 206]
    assert server.log[1][1] == f"bytes={10 * _CHUNK}-"
    assert server.log[2][1] == f"bytes={12 * _CHUNK}-"


def test_a_later_call_resumes_an_earlier_one(server, tmp_path):
    out = tmp_path / "raw" / "a.zip"
    source = source_at(server.url(), content=server.content)
    server.breaks = [10 * _CHUNK]
    with pytest.raises(BadInput):
        get(source, out, retries=1)
    assert left_in(out.parent) == ["a.zip.part", "a.zip.part.json"]
    get(source, out, retries=1)
    assert server.log[-1][1:] == (f"bytes={10 * _CHUNK}-", 206)
    assert out.read_bytes() == server.content


def test_server_that_ignores_ranges(server, tmp_path):
    server.breaks, server.ranges = [70_000], False
    out = tmp_path / "raw" / "a.zip"
    get(source_at(server.url(), content=server.content), out)
    assert [status for _, _, status in server.log] == [200, 200]
    assert out.read_bytes() == server.content


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_file_that_changed_meanwhile_is_fetched_whole(honours_if_range, server, tmp_path):
    out = tmp_path / "raw" / "a.zip"
    server.breaks, server.honours_if_range = [70_000], honours_if_range
    with pytest.raises(requests.RequestException):
        fetch(server.url(), out, attempts=1, timeout_s=5.0, largest=10**8)
    server.etag, server.content = '"two"', server.content[::-1]
    assert (
        fetch(server.url(), out, attempts=1, timeout_s=5.0, largest=10**8).read_bytes()
        == server.content
    )


def test_part_of_another_address_is_not_continued(server, tmp_path):
    out = tmp_path / "raw" / "a.zip"
    server.breaks = [70_000]
    with pytest.raises(requests.RequestException):
        fetch(server.url("/old.zip"), out, attempts=1, timeout_s=5.0, largest=10**8)
    fetch(server.url("/new.zip"), out, attempts=1, timeout_s=5.0, largest=10**8)
    assert server.log[-1] == ("/new.zip", None, 200)


@pytest.mark.parametrize("extra", [b"", b"more than there is"])
def test_part_with_nothing_left_to_ask_for(extra, server, tmp_path):
    out = tmp_path / "raw" / "a.zip"
    server.breaks = [70_000]
    with pytest.raises(requests.RequestException):
        fetch(server.url(), out, attempts=1, timeout_s=5.0, largest=10**8)
    part_of(out).write_bytes(server.content + extra)
    assert (
        fetch(server.url(), out, attempts=1, timeout_s=5.0, largest=10**8).read_bytes()
        == server.content
    )
    assert [status for _, _, status in server.log] == [200, 416] + [200] * bool(extra)


def test_retry_on_503(server, tmp_path):
    server.failures = [503, 503]
    get(source_at(server.url(), content=server.content), tmp_path / "a.zip")
    assert [status for _, _, status in server.log] == [503, 503, 200]


def test_no_retry_on_404(server, tmp_path):
    server.failures = [404]
    with pytest.raises(BadInput, match="HTTP 404 Not Found"):
        get(source_at(server.url()), tmp_path / "a.zip")
    assert len(server.log) == 1


def test_wrong_checksum_goes_to_the_next_address(server, tmp_path):
    wrong = Server(write_zip(tmp_path / "w.zip", {"x": b"y"}).read_bytes())
    threading.Thread(target=wrong.serve_forever, daemon=True).start()
    out = tmp_path / "raw" / "a.zip"
    get(source_at(wrong.url(), server.url(), content=server.content), out)
    wrong.shutdown()
    wrong.server_close()
    assert out.read_bytes() == server.content
    assert server.log == [("/a.zip", None, 200)]
    assert left_in(out.parent) == ["a.zip"]


def test_a_page_is_no_archive(server, tmp_path):
    server.content = b"<!DOCTYPE html><p>log in</p>"
    out = tmp_path / "raw" / "a.zip"
    with pytest.raises(BadInput, match="not a zip archive, it begins with b'<!DOCTYPE"):
        get(source_at(server.url()), out)
    assert left_in(out.parent) == []


def test_nothing_to_be_had(server, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/a.zip"
    server.failures = [500] * 3
    raw_dir, out = tmp_path / "mine", tmp_path / "raw" / "a.zip"
    with pytest.raises(BadInput) as caught:
        get(source_at(closed, server.url("/b.zip")), out, raw_dir=raw_dir)
    message = str(caught.value)
    assert f"{closed}: ConnectionRefusedError: [Errno 111] Connection refused" in message
    assert f"{server.url('/b.zip')}: HTTP 500 Internal Server Error" in message
    assert all(text in message for text in (str(out), str(raw_dir), "'ml-100k.zip'"))
    assert "--config raw_dir=" in message
    assert max(map(len, message.splitlines())) < 400
    assert not out.exists()


def test_expired_certificate_is_named():
    certificate = Exception("certificate verify failed: certificate has expired")
    wrapped = requests.exceptions.SSLError(OSError("long repr", certificate))
    assert short_reason(wrapped).endswith("certificate has expired")


@pytest.mark.parametrize("name", ["ml-latest-small-2016-10.zip", "ml-latest-small.zip"])
def test_local_file_comes_first_under_any_accepted_name(name, server, archive, tmp_path):
    raw_dir, out = tmp_path / "mine", tmp_path / "raw" / "a.zip"
    raw_dir.mkdir()
    source = replace(tiny_source("ml-latest-small-2016", some_ratings()), urls=(server.url(),))
    put = write_archive(raw_dir / name, "ml-latest-small-2016", some_ratings())
    assert get(source, out, raw_dir=raw_dir) == {"from": str(put)}
    assert out.read_bytes() == put.read_bytes()
    assert server.log == []
    assert left_in(out.parent) == ["a.zip"]


def test_local_file_that_is_the_output_stays(archive):
    out = archive.with_name("ml-100k.zip")
    content = archive.rename(out).read_bytes()
    get(source_at(content=content), out, raw_dir=out.parent)
    assert out.read_bytes() == content


def test_simulated_is_written_where_no_local_file_is(tmp_path):
    small = {"seed": 1, "users": 50, "items": 30}
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    for out in (first, second):
        obtain(
            SOURCES["simulated"],
            out,
            raw_dir=tmp_path / "none",
            retries=1,
            timeout_s=1.0,
            simulated=small,
        )
    assert first.read_bytes() == second.read_bytes()


def test_what_lies_in_the_folder_is_judged_and_looked_at_again(server, tmp_path):
    raw_dir, out = tmp_path / "mine", tmp_path / "raw" / "a.zip"
    raw_dir.mkdir()
    source = replace(tiny_source("ml-1m", some_ratings()), urls=(server.url(),))
    write_archive(raw_dir / "ml-1m.zip", "ml-1m", some_ratings(3))
    with pytest.raises(BadInput, match=r"ml-1m\.zip: ml-1m/ratings\.dat is not MovieLens-1M"):
        get(source, out, raw_dir=raw_dir)
    assert not out.parent.exists()
    assert server.log == []
    write_archive(raw_dir / "ml-1m.zip", "ml-1m", some_ratings())
    get(source, out, raw_dir=raw_dir)
    assert out.is_file()


@pytest.mark.parametrize("note", ["", "[]", "5", "{", '{"url": "URL", "validator": 5}'])
def test_a_note_that_says_nothing_is_left_alone(note, server, tmp_path):
    out = tmp_path / "a.zip"
    part_of(out).write_bytes(b"PK")
    out.with_name("a.zip.part.json").write_text(note.replace("URL", server.url()))
    get(source_at(server.url(), content=server.content), out)
    assert out.read_bytes() == server.content


def test_a_bundle_of_certificates_that_is_nowhere_is_one_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(BadInput, match=r"none\.pem .*unset REQUESTS_CA_BUNDLE"):
        get(source_at("https://127.0.0.1:1/a.zip"), tmp_path / "a.zip")


@pytest.mark.parametrize("place", ["http://[bad", "http://" + "a" * 70 + ".x/", "http://a..b/"])
def test_a_redirect_to_nowhere_is_one_reason(place, server, tmp_path):
    server.redirect = place
    with pytest.raises(BadInput, match="no address gave it"):
        get(source_at(server.url()), tmp_path / "a.zip", retries=1)


def test_a_packed_body_is_never_resumed(server, tmp_path):
    server.packed, server.breaks = True, [1000]
    out = tmp_path / "a.zip"
    get(source_at(server.url(), content=server.content), out)
    assert [asked for _, asked, _ in server.log] == [None, None]
    assert out.read_bytes() == server.content


def test_more_bytes_than_allowed_end_the_download(server, tmp_path):
    source = replace(source_at(server.url(), content=server.content), largest=20_000)
    with pytest.raises(BadInput, match="more than 20,000 bytes"):
        get(source, tmp_path / "a.zip")
    assert len(server.log) == 1


def test_a_trickle_ends_in_time_and_what_came_is_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.download.SECONDS", 1.0)
    server.trickle = True
    started = time.monotonic()
    with pytest.raises(BadInput, match="no end after 1 s"):
        get(source_at(server.url()), tmp_path / "a.zip")
    assert time.monotonic() - started < 20


def test_certificates_are_left_unverified_only_where_that_is_allowed(tmp_path, monkeypatch, capfd):
    asked = []

    def fetched(url, out, *, verify=True, **_):
        asked.append((url, verify))
        if verify:
            raise Unfetched("certificate has expired", is_tls=url.startswith("https"))
        return write_archive(part_of(out), "ml-1m", some_ratings())

    monkeypatch.setattr("pipeline.data.download.fetch", fetched)
    source = replace(tiny_source("ml-1m", some_ratings()), urls=("https://a/x", "http://b/x"))
    out = tmp_path / "a.zip"
    with pytest.raises(BadInput, match="`allow_unverified_tls: true` under `data`"):
        get(source, out)
    assert asked == [("https://a/x", True), ("http://b/x", True)]
    found = obtain(source, out, raw_dir=None, retries=1, timeout_s=1.0, allow_unverified_tls=True)
    assert found == {"from": "https://a/x", "tls": "not verified"}
    assert asked[2:] == [*asked[:2], ("https://a/x", False)]
    assert "certificate is NOT verified" in capfd.readouterr().err
    other = replace(source, fingerprint="0" * 64)
    out.unlink()
    with pytest.raises(BadInput, match="is not MovieLens-1M"):
        obtain(other, out, raw_dir=None, retries=1, timeout_s=1.0, allow_unverified_tls=True)
    assert not out.exists()
