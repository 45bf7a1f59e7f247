"""A real HTTP server on loopback that can be told to misbehave."""

import gzip
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `content` under every path; what it did is in `log`."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.etag = '"one"'
        self.failures = []  # statuses to answer first
        self.breaks = []  # body bytes after which to hang up, per answer
        self.ranges = True
        self.honours_if_range = True
        self.redirect = None  # address to send everybody to
        self.packed = False  # by gzip, asked or not
        self.trickle = False  # a byte at a time
        self.log = []  # (path, Range asked for, status)

    def url(self, path="/a.zip"):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    """One answer of `Server`."""

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        status, start = 200, 0
        if server.failures:
            status = server.failures.pop(0)
        elif asked and server.ranges:
            fresh = self.headers.get("If-Range") == server.etag
            if fresh or not server.honours_if_range:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                status = 206 if start < len(server.content) else 416
        server.log.append((self.path, asked, status))
        body = server.content[start:] if status in (200, 206) else b"no"
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        body = gzip.compress(body) if server.packed else body
        self.send_response(status)
        if server.packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body)))
        total = len(server.content)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if status == 416:
            self.send_header("Content-Range", f"bytes */{total}")
        self.end_headers()
        if server.breaks and status in (200, 206):
            body = body[: server.breaks.pop(0)]
        for place in range(0, len(body), 1) if server.trickle else ():
            try:
                self.wfile.write(body[place : place + 1])
            except OSError:
                return
            time.sleep(0.2)
        self.wfile.write(body)
        self.close_connection = True
