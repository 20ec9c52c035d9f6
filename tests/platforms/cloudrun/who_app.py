"""A small service that honours $PORT and answers with its revision, its service name, and $GREETING.

EXIT_WITH ends it at once with a message.
"""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Who(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told = " ".join(os.environ.get(name, "-") for name in ("K_REVISION", "K_SERVICE", "GREETING")).encode()
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_POST = do_GET

    def log_message(self, *words: object) -> None:
        del words


if __name__ == "__main__":
    if "EXIT_WITH" in os.environ:
        sys.exit(os.environ["EXIT_WITH"])
    ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Who).serve_forever()
