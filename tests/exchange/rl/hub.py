"""A hub on this machine: as much of the Hugging Face hub's HTTP as creating a data set and committing to it takes.

It speaks plain HTTP on loopback, keeps files in memory, and counts what it was asked. What it answers follows the
requests that `huggingface_hub` makes.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_write"
READ_ONLY = "hf_read"


@dataclass
class Hub:
    """What the server holds."""

    address: str
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)  # name -> path -> content
    private: dict[str, bool] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)  # hash -> content of large files
    requests: list[tuple[str, str]] = field(default_factory=list)  # method, path

    def add(self, name: str, *, private: bool) -> None:
        self.repositories[name], self.private[name] = {}, private


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def _answer(self, method: str) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((method, path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if found := re.fullmatch(r"/blobs/(\w+)", path):  # its address is the permission
            self.hub.blobs[found[1]] = body
            self._send(200, {})
        elif token not in (TOKEN, READ_ONLY):
            self._send(401, {"error": "Invalid user token"})
        elif path == "/api/whoami-v2":
            role = "write" if token == TOKEN else "read"
            self._send(200, {"type": "user", "name": "lab", "auth": {"accessToken": {"role": role}}})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif path.endswith(".git/info/lfs/objects/batch"):
            wanted = [(one["oid"], one["size"]) for one in json.loads(body)["objects"]]
            objects = [
                {"oid": oid, "size": size, "actions": {"upload": {"href": f"{self.hub.address}/blobs/{oid}"}}}
                for oid, size in wanted
            ]
            self._send(200, {"transfer": "basic", "objects": objects})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'lab'}/{asked['name']}"
            self.hub.add(name, private=asked.get("visibility") == "private")
            self._send(200, {"url": f"{self.hub.address}/datasets/{name}", "name": name})
        elif found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/(.*))?", path):
            self._of_repository(found[1], found[2] or "", body)
        elif found := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.*)", path):
            self._file(found[1], found[2], method)
        else:
            self._send(404, {"error": f"nothing at {path}"})

    def _of_repository(self, name: str, what: str, body: bytes) -> None:
        files = self.hub.repositories.get(name)
        if files is None:
            self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif what == "" or what.startswith("revision/"):
            siblings = [{"rfilename": path} for path in files]
            said = {"id": name, "sha": "0" * 40, "private": self.hub.private[name], "siblings": siblings}
            self._send(200, said)
        elif what.startswith("preupload/"):
            asked = json.loads(body)["files"]
            self._send(200, {"files": [{**_mode(one["path"]), "shouldIgnore": False} for one in asked]})
        elif what.startswith("tree/"):
            folder = what.split("/", 2)[2] if what.count("/") > 1 else ""
            inside = [self._entry(files, path) for path in files if path.startswith(folder)]
            if inside or not folder:
                self._send(200, inside)
            else:
                self._send(404, {"error": "no such folder"}, {"X-Error-Code": "EntryNotFound"})
        elif what.startswith("paths-info/"):
            asked = json.loads(body)["paths"] if body[:1] == b"{" else []
            self._send(200, [self._entry(files, path) for path in asked if path in files])
        elif what.startswith("commit/"):
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "lfsFile":
                    files[line["value"]["path"]] = self.hub.blobs[line["value"]["oid"]]
                elif line["key"] == "deletedFile":
                    files.pop(line["value"]["path"], None)
            url = f"{self.hub.address}/datasets/{name}/commit/{'0' * 40}"
            self._send(200, {"commitUrl": url, "commitOid": "0" * 40, "hookOutput": "", "success": True})
        else:
            self._send(404, {"error": f"nothing at {what}"})

    @staticmethod
    def _entry(files: dict[str, bytes], path: str) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": len(files[path]), "oid": "0" * 40}

    def _file(self, name: str, path: str, method: str) -> None:
        content = self.hub.repositories.get(name, {}).get(path)
        if content is None:
            self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        self.send_response(200)
        for header, value in {"ETag": '"0"', "X-Repo-Commit": "0" * 40, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        if method == "GET":
            self.wfile.write(content)

    def _send(self, status: int, said: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        for header, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content)


def _mode(path: str) -> dict[str, str]:
    return {"path": path, "uploadMode": "lfs" if path.endswith(".parquet") else "regular"}


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that is there until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("_OfThisHub", (_Handler,), {"hub": hub})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
