"""A real HTTP server on loopback that can be told to misbehave."""

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
        self.send_response(status)
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
        self.wfile.write(body)
        self.close_connection = True
