"""A real vLLM server as a served model and as the judge of its answers, end to end.

Its model knows one sentence: whatever it is asked, it says that the rating is 7, so that all numbers are known before.
Skipped where `make vllm` was not run.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from editing import STUDY
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mixlab.artifacts.store import Store
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.data.tokens.tokenizer import train_tokenizer
from mixlab.generation.responses import read_responses
from mixlab.plan.build import build_plan
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.stages import generate, judge, score, scores, source
from mixlab.stages.doorway import Host, main

# one vLLM at a time
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("vllm"), pytest.mark.timeout(1800)]

SAID = "So. Rating: [[7]]"
CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
SERVED = """
served_models:
  behind vllm: {endpoint: vllm, model: tiny, description: One sentence.}
judge: {engine: openai, model: tiny, endpoint: vllm, max_tokens: 32}
"""
HOSTS: dict[str, Host] = {
    "source": source.run,
    "generate": generate.run,
    "score": score.run,
    "judge": judge.run,
    "scores": scores.run,
}


def write_parrot(folder: Path) -> None:
    """Write a model that says one sentence: each token's head is the embedding of the token before it."""
    texts = [{"text": f"{SAID} <question> what is it? </question>"}] * 20
    train_tokenizer(TokenizerSettings(vocab_size=400), [texts], folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), eos_token="<|end|>", pad_token="<|pad|>", chat_template=CHAT
    )
    ids = tokenizer(f"<|assistant|>{SAID}<|end|>", add_special_tokens=False)["input_ids"]
    assert len(set(ids)) == len(ids)
    torch.manual_seed(0)
    shape = {"num_hidden_layers": 1, "num_attention_heads": 4, "hidden_size": 128, "intermediate_size": 128}
    tokens = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None, "max_position_embeddings": 4096}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), initializer_range=1.0, **shape, **tokens))
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.lm_head.weight.zero_()
        for before, after in pairwise(ids):
            model.lm_head.weight[after] = model.model.embed_tokens.weight[before]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def serve(python: Path, folder: Path, log: Path) -> Iterator[str]:
    """Serve the model as `tiny`, offline and in float32; yield the base address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [str(python), "-I", "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    named = ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", port]
    small = ["--dtype", "float32", "--load-format", "safetensors", "--enforce-eager", "--max-model-len", "4096"]
    own = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [*command, *named, *small],
            stdout=stream,
            stderr=stream,
            env={**os.environ, **own, "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"},
        )
    try:
        end = time.monotonic() + 600
        while not _is_up(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < end, log.read_text()[-4000:]
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _is_up(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5.0).close()
    except OSError:
        return False
    return True


def test_a_vllm_server_is_asked_and_judges_and_its_verdicts_need_it_no_more(
    micro: Path, vllm_python: Path, tmp_path: Path
) -> None:
    model = tmp_path / "parrot"
    model.mkdir()
    write_parrot(model)
    with (micro / STUDY).open("a", encoding="utf-8") as stream:
        stream.write(SERVED)
    text = (micro / "config.yaml").read_text()
    with serve(vllm_python, model, tmp_path / "server.log") as url:
        (micro / "config.yaml").write_text(f"{text}  endpoints: {{vllm: {{url: '{url}', concurrency: 4}}}}\n")
        planned = build_plan(micro)
        store = Store(micro)
        path = write_plan(store, render_plan(planned.plan, planned.config.machine, planned.files))
        (table,) = [node for node in planned.plan.by_stage("scores") if "/behind vllm" in node.label]
        above = planned.plan.closure([table.key])
        keys = {stage: [node.key for node in planned.plan.by_stage(stage) if node.key in above] for stage in HOSTS}
        for stage, host in HOSTS.items():
            main(stage, host, ["--plan", str(path), "--key", *keys[stage]])

    # 8 sums and 4 dialogues of two turns were asked
    answered = [one for key in keys["generate"] for one in read_responses(store.open("generate", key))]
    assert [set(one.responses) for one in answered] == [{SAID}] * 12
    assert {reason for one in answered for reason in one.finish_reasons} == {"stop"}
    assert {tokens for one in answered for tokens in one.response_tokens} == {8}
    rows = pq.read_table(store.open("scores", table.key) / "scores.parquet").to_pylist()
    assert Counter((row["measure"], row["judge_run"]) for row in rows) == {
        ("accuracy", None): 8,
        ("judge_score", 1): 8,
        ("judge_score", 2): 8,
    }
    assert {row["score"] for row in rows if row["measure"] == "judge_score"} == {7}

    # the server is gone: what it said is kept, and nothing is asked again
    verdicts = {key: (store.open("judge", key) / "verdicts.jsonl").read_bytes() for key in keys["judge"]}
    shutil.rmtree(micro / "artifacts/judge")
    main("judge", judge.run, ["--plan", str(path), "--key", *keys["judge"]])
    assert {key: (store.open("judge", key) / "verdicts.jsonl").read_bytes() for key in verdicts} == verdicts
