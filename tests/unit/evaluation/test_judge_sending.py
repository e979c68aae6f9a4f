"""Who sends to a judge's endpoint goes on with the next request at once, unless the reply speaks against it."""

import pytest
from judge_lab import Start
from scripted_server import Answer

from mixlab.generation.async_chat import AsyncChat
from mixlab.generation.openai import EndpointError
from mixlab.generation.pacing import Pacer


def test_a_pause_that_a_reply_asks_for_holds_the_very_next_request(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = start(lambda question, count: Answer(status=429, headers={"Retry-After": "1"}), endpoint={"concurrency": 1})
    lab.endpoint["max_retries"] = 0
    send, seen = AsyncChat.send, list[object]()

    async def note_sent(chat: AsyncChat, body: bytes, model: str, max_tokens: int) -> object:
        seen.append("sent")
        return await send(chat, body, model, max_tokens)

    monkeypatch.setattr(AsyncChat, "send", note_sent)
    monkeypatch.setattr(Pacer, "hold", lambda pacer, seconds: seen.append(seconds))
    with pytest.raises(Exception, match="no answer after 1 try"):
        lab.judge(3)
    assert seen == ["sent", 1.0] * 3


def test_nothing_is_sent_after_the_reply_that_shows_an_endpoint_unusable(start: Start) -> None:
    # others are granted meanwhile, and wait
    expired = Answer("expired", status=401, delay_seconds=0.5)
    lab = start(lambda question, count: expired, endpoint={"concurrency": 1})
    with pytest.raises(EndpointError, match="wants a key"):
        lab.judge(20)
    assert lab.server.asked.total() == 1
