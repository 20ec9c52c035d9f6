"""Replace, on loopback, the parts of Artifact Registry, Cloud Storage and Cloud Build that gcloud uses for a build.

Builds are real. The tarball that gcloud uploaded is unpacked, the steps of its configuration are run in it with this
machine's docker, and the images that it names are pushed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

APIS = ("ARTIFACTREGISTRY", "STORAGE", "CLOUDBUILD", "SERVICEUSAGE")
NOT_FOUND: dict[str, Any] = {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}}


class BuildApis(ThreadingHTTPServer):
    """The server and its recorded calls."""

    def __init__(self, folder: Path, docker: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.docker = docker
        self.repositories: dict[str, Any] = {}
        self.objects: dict[str, bytes] = {}
        self.builds: dict[str, Any] = {}
        self.asked: list[str] = []

    def environment(self) -> dict[str, str]:
        """Return the variables that direct the unmodified gcloud to this server, with any token."""
        token = self.folder / "token"
        token.write_text("any token will do")
        return {
            "CLOUDSDK_CONFIG": str(self.folder / "config"),
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}": f"http://127.0.0.1:{self.server_port}/" for api in APIS},
        }

    def build(self, given: dict[str, Any], project: str) -> dict[str, Any]:
        """Start a build and return its current record."""
        record = given | {"id": f"build-{len(self.builds) + 1}", "projectId": project, "status": "WORKING"}
        record["options"] = {"logging": "CLOUD_LOGGING_ONLY"}  # gcloud reads logs only at Google's address
        self.builds[record["id"]] = record
        threading.Thread(target=self._work, args=(record,), daemon=True).start()
        return record

    def _work(self, record: dict[str, Any]) -> None:
        workspace = self.folder / record["id"]
        source = record["source"]["storageSource"]
        archive = self.folder / f"{record['id']}.tgz"
        archive.write_bytes(self.objects[f"{source['bucket']}/{source['object']}"])
        with tarfile.open(archive) as packed:
            packed.extractall(workspace, filter="data")
        values = record.get("substitutions", {})

        def filled(text: str) -> str:
            return re.sub(r"\$\{(_\w+)\}", lambda name: str(values[name[1]]), text)

        lines = [[step.get("entrypoint", "docker"), *map(filled, step["args"])] for step in record["steps"]]
        lines += [["docker", "push", filled(image)] for image in record["images"]]
        with (self.folder / f"{record['id']}.log").open("w") as log:
            for line in lines:
                log.write(f"$ {line}\n")
                log.flush()
                done = subprocess.run(
                    line, cwd=workspace, env={**os.environ, **self.docker}, stdout=log, stderr=log, check=False
                )
                if done.returncode != 0:
                    record["status"] = "FAILURE"
                    return
        record["status"] = "SUCCESS"


class _Handler(BaseHTTPRequestHandler):
    server: BuildApis

    def _answer(self) -> None:
        body = self._body()
        self.server.asked.append(f"{self.command} {self.path}")
        found = self._found(urlsplit(self.path).path, parse_qs(urlsplit(self.path).query), body)
        text = json.dumps(found).encode()
        self.send_response(found["error"]["code"] if "error" in found else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _found(self, path: str, query: dict[str, list[str]], body: bytes) -> dict[str, Any]:
        if "/repositories" in path:
            return self._repository(path.removeprefix("/v1/"), query, body)
        if "/storage/" in path:
            return self._storage(path, query, body)
        if "/builds" in path:
            return self._build(path, body)
        return NOT_FOUND

    def _repository(self, path: str, query: dict[str, list[str]], body: bytes) -> dict[str, Any]:
        place, _, name = path.partition("/repositories")
        if name:
            return self.server.repositories.get(path, NOT_FOUND)
        made = json.loads(body) | {"name": f"{path}/{query['repositoryId'][0]}"}
        self.server.repositories[made["name"]] = made
        kind = {"@type": "type.googleapis.com/google.devtools.artifactregistry.v1.Repository"}
        return {"name": f"{place}/operations/1", "done": True, "response": kind | made}

    def _storage(self, path: str, query: dict[str, list[str]], body: bytes) -> dict[str, Any]:
        bucket = path.partition("/b/")[2].partition("/")[0]
        if path.startswith("/upload/"):
            boundary = body.partition(b"\n")[0]  # the request has two parts: a description and the file
            content = body.rpartition(b"\n" + boundary)[0].split(boundary)[2].partition(b"\n\n")[2]
            name = query["name"][0]
            self.server.objects[f"{bucket}/{name}"] = content
            return {"kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(content))}
        name = bucket or query["prefix"][0]
        record = {"kind": "storage#bucket", "id": name, "name": name}
        return record if bucket else {"kind": "storage#buckets", "items": [record]}

    def _build(self, path: str, body: bytes) -> dict[str, Any]:
        place, _, name = path.removeprefix("/v1/projects/").partition("/builds")
        if name:
            return self.server.builds.get(name.strip("/"), NOT_FOUND)
        record = self.server.build(json.loads(body), place.partition("/")[0])
        kind = {"@type": "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata"}
        return {"name": f"operations/{record['id']}", "metadata": kind | {"build": record}}

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def build_apis(folder: Path, docker: dict[str, str]) -> Iterator[BuildApis]:
    """Run the server during the block. `docker` are the variables that its builds' docker needs."""
    folder.mkdir()
    server = BuildApis(folder, docker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
