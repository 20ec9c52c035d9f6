"""Answer every POST after DELAY_MS and append its body to FILE: `python keeping_server.py FILE DELAY_MS`. The
environment variable PORT contains the port. If a third argument STATUS is given, every tenth answer has that status.
"""

from __future__ import annotations

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEPT, DELAY_S = Path(sys.argv[1]), float(sys.argv[2]) / 1000


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with KEPT.open("ab") as file:
            file.write(body + b"\n")
        time.sleep(DELAY_S)
        self.answer()

    def answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *words: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Service).serve_forever()
