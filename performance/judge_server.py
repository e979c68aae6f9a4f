"""A judge endpoint that costs little: one process, one event loop, a fixed latency, ratings by a known rule.

    python performance/judge_server.py [--latency 0.05] [--faults 0.02] [--seed 1]

Prints its port. About `dialogue N` it says 1 + N mod 10. `GET /stats` tells how often each question was asked. With
`--faults`, that share of the requests, drawn by chance, goes wrong in one of `FAULTS`.
"""

import argparse
import asyncio
import json
import random
import re
from collections import Counter

QUESTION = re.compile(rb"dialogue (\d+)")
FAULTS = (
    *("status_500", "status_429", "html", "no_choices", "wrong_json", "mid_body", "hang", "closed"),
    *("out_of_range", "two_ratings", "words", "refusal", "empty", "withheld"),
)
_SAID = {
    "out_of_range": "Rating: [[11]]",
    "two_ratings": "[[3]] or [[4]]",
    "words": "Rating: seven",
    "refusal": "I cannot rate this.",
    "empty": "",
    "withheld": "Rating: [[5]]",
}
_HANG_SECONDS = 30.0


def rate(number: int) -> int:
    """The known rule."""
    return 1 + number % 10


class State:
    """What the server was asked so far, and how it misbehaves."""

    def __init__(self, latency: float, faults: float, seed: int) -> None:
        self.latency, self.faults = latency, faults
        self.chance = random.Random(seed)
        self.asked: Counter[int] = Counter()
        self.met: Counter[str] = Counter()

    def answer(self, body: bytes) -> tuple[str, bytes]:
        """Return a fault's name, or nothing, and the bytes to send."""
        found = QUESTION.search(body)
        number = int(found[1]) if found else -1
        self.asked[number] += 1
        fault = self.chance.choice(FAULTS) if self.chance.random() < self.faults else ""
        self.met[fault] += 1
        if fault.startswith("status_"):
            return fault, render(b'{"error": {"message": "busy"}}', fault.removeprefix("status_"))
        if fault in ("html", "wrong_json", "no_choices"):
            said = {"html": b"<html>Bad gateway</html>", "wrong_json": b'{"choices": [', "no_choices": b"{}"}[fault]
            return fault, render(said)
        text = _SAID.get(fault, f"Fine. Rating: [[{rate(number)}]]")
        reason = "content_filter" if fault == "withheld" else "stop"
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
        usage = {"prompt_tokens": len(body) // 4, "completion_tokens": 8}
        return fault, render(json.dumps({"choices": [choice], "usage": usage}).encode())


def render(body: bytes, status: str = "200") -> bytes:
    """A whole reply."""
    return b"HTTP/1.1 %s OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(),
        len(body),
        body,
    )


class Connection(asyncio.Protocol):
    """One connection: one request after the other."""

    def __init__(self, state: State) -> None:
        self._state, self._held = state, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request after the latency."""
        self._held += data
        while (at := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:at]
            length = re.search(rb"(?i)content-length: (\d+)", head)
            end = at + 4 + (int(length[1]) if length else 0)
            if len(self._held) < end:
                return
            body, self._held = self._held[at + 4 : end], self._held[end:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        if head.startswith(b"GET"):
            stats = {"asked": dict(self._state.asked), "faults": dict(self._state.met)}
            self._transport.write(render(json.dumps(stats if b"/stats" in head else {"data": []}).encode()))
            return
        fault, reply = self._state.answer(body)
        if fault == "closed":
            self._transport.close()
        elif fault == "mid_body":
            self._transport.write(reply[:-20])
            self._transport.close()
        else:
            loop.call_later(_HANG_SECONDS if fault == "hang" else self._state.latency, self._send, reply)

    def _send(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    state = State(options.latency, options.faults, options.seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
