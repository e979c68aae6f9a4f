"""vLLM's own offline use, as its documents show it; run by `generation.py` with the Python that has vLLM.

Reads one JSON object (folders, settings, sets of prompts) and prints one: seconds to start, and of each set tokens and
seconds.
"""

import json
import os
import sys
import time


def main() -> None:
    """Open the model and ask it every set."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    begin = time.perf_counter()
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=asked["model"],
        tokenizer=asked["tokenizer"],
        dtype=asked["dtype"],
        tensor_parallel_size=max(asked["gpus"], 1),
        enforce_eager=not asked["compile"],
        kv_cache_memory_bytes=int(asked["kv_cache_gib"] * 2**30),
    )
    start = time.perf_counter() - begin
    params = SamplingParams(temperature=0.0, max_tokens=asked["new_tokens"])
    measured = []
    for prompts in asked["sets"]:
        begin = time.perf_counter()
        outputs = llm.generate(prompts, params, use_tqdm=False)
        tokens = sum(len(one.outputs[0].token_ids) for one in outputs)
        assert all(isinstance(one.outputs[0].text, str) for one in outputs)
        measured.append((tokens, time.perf_counter() - begin))
    print(json.dumps({"start": start, "sets": measured}), file=replies, flush=True)


if __name__ == "__main__":
    main()
