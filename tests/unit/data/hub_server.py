"""A hub of one data set on this machine: the few answers that the libraries ask for. As a program it tells its port."""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

COMMIT = "a" * 40
ROWS = [{"question": f"question {number}", "answer": f"answer {number}", "topic": number % 2} for number in range(50)]
FILES = {
    "train.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "README.md": b"---\nlicense: mit\n---\n",
}
_TOKENIZER = {
    "added_tokens": [
        {"id": 2, "content": "</s>", "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    ],
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
}
MODEL_FILES = {
    "tokenizer.json": json.dumps(_TOKENIZER).encode(),
    "config.json": b'{"vocab_size": 300}',
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "code.py": b"1",
}
_ERRORS = {"RevisionNotFound": 404, "EntryNotFound": 404, "RepoNotFound": 404, "GatedRepo": 401}


class Hub(BaseHTTPRequestHandler):
    """Data set acme/qa and model acme/model, branch main with one commit; acme/gated asks for a login; no others."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def _send(self, body: bytes, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, code: str) -> None:
        self._send(b"{}", _ERRORS[code], X_Error_Code=code, X_Error_Message=f"{code} says the hub")

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        if "/acme/gated" in path:
            self._refuse("GatedRepo")
        elif "/acme/qa" not in path and "/acme/model" not in path:
            self._refuse("RepoNotFound")
        elif not any(f"/{revision}" in path for revision in ("main", COMMIT)):
            self._refuse("RevisionNotFound")
        elif "/resolve/" in path:
            self._resolve(path.split("/resolve/")[1].split("/", 1)[1])
        elif "/tree/" in path:
            files = [
                {"type": "file", "path": name, "size": len(body), "oid": _oid(body)}
                for name, body in self._files().items()
            ]
            self._send(json.dumps(files).encode())
        else:
            siblings = [{"rfilename": name} for name in self._files()]
            card = {
                "id": self._name(),
                "sha": COMMIT,
                "private": False,
                "gated": False,
                "siblings": siblings,
                "tags": [],
            }
            self._send(json.dumps({**card, "tags": []}).encode())

    def _name(self) -> str:
        return "acme/model" if "/acme/model" in unquote(self.path) else "acme/qa"

    def _files(self) -> dict[str, bytes]:
        return MODEL_FILES if self._name() == "acme/model" else FILES

    def _resolve(self, name: str) -> None:
        files = self._files()
        if name not in files:
            self._refuse("EntryNotFound")
        else:
            self._send(files[name], ETag=f'"{_oid(files[name])}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET


def _oid(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_address[1])
    sys.stdout.flush()
    server.serve_forever()
