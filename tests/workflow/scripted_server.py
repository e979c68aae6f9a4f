"""A local OpenAI-compatible server that answers by a script, faults included, and counts what it was asked."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

QUESTION = re.compile(r"dialogue (\d+)")


@dataclass(frozen=True)
class Answer:
    """What the server does with one request; `body` is sent as it is, else a chat reply with `text`."""

    text: str | None = "Category: math"
    finish_reason: str = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_seconds: float = 0.0
    drop: bool = False
    counts: bool = True
    cut_bytes: int = 0

    def render(self) -> bytes:
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": self.text}}).encode()
        choice = {"message": {"role": "assistant", "content": self.text}, "finish_reason": self.finish_reason}
        usage = {"usage": {"prompt_tokens": 10, "completion_tokens": 3}} if self.counts else {}
        return json.dumps({"choices": [{**choice, "text": self.text}], **usage}).encode()


Script = Callable[[str, int], Answer]
"""From the last number in `dialogue <number>` of a question, and which request about it this is, to an answer."""


def find_question(said: str) -> str:
    """Return the last number in `dialogue <number>`, empty where there is none."""
    found = QUESTION.findall(said)
    return found[-1] if found else ""


class ScriptedServer(ThreadingHTTPServer):
    """The server; `asked` counts requests by question, `requests` holds their bodies and `keys` what was sent."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, script: Script, models: tuple[str, ...] = ("tiny",), find: Callable[[str], str] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.find = find or find_question
        self.models = models
        self.asked: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the script."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # head and body are two writes: with Nagle each reply would wait 40 ms for an acknowledgement
    disable_nagle_algorithm = True
    server: ScriptedServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.keys.add(self.headers.get("Authorization", ""))
        listed = [{"id": model} for model in self.server.models]
        self._send(Answer(body=json.dumps({"data": listed}).encode()))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_plain = self.path.endswith("/v1/completions")
        said = request["prompt"] if is_plain else "\n".join(message["content"] for message in request["messages"])
        server = self.server
        question = server.find(said)
        with server.lock:
            server.asked[question] += 1
            count = server.asked[question]
            server.requests.append(request)
            server.keys.add(self.headers.get("Authorization", ""))
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
        try:
            answer = server.script(question, count)
            time.sleep(answer.delay_seconds)
        finally:
            with server.lock:
                server.under_way -= 1
        if answer.drop:
            self.close_connection = True
            self.connection.close()
            return
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        body = answer.render()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - answer.cut_bytes])
        self.close_connection = self.close_connection or answer.cut_bytes > 0


@contextmanager
def serve(
    script: Script, models: tuple[str, ...] = ("tiny",), find: Callable[[str], str] | None = None
) -> Iterator[ScriptedServer]:
    """Run a server while the context lasts; `find` says what of a request the script is told."""
    server = ScriptedServer(script, models, find)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
