"""The fixed tiny inputs behind golden_bytes.json, hand-made and written out: averaging and evaluation.

Numbers are halves and quarters where they are averaged, so that no machine's rounding reaches the bytes.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from golden_bytes import Bench, Pin
from golden_bytes_sources import SOURCE_CASES, put_source
from golden_bytes_tables import PROMPTS, TABLE_CASES, TRAINING
from golden_bytes_tokens import TOKEN_CASES, put_tokenizer
from safetensors.numpy import save

from mixlab.config.problems import UserError
from mixlab.evaluation.sandbox import Sandbox
from mixlab.plan import specs

Case = Callable[[Bench], Pin]


def average(bench: Bench, has_base: bool = False, **averaging: Any) -> Pin:
    """Two models whose weights are quarters and differ by one everywhere; if asked, the older is the base model."""
    weights = {"embed": np.arange(12, dtype=np.float32).reshape(4, 3) / 4, "norm": np.ones(3, dtype=np.float32)}
    config = {"model_type": "llama", "hidden_size": 3, "vocab_size": 4, "dtype": "float32"}
    ipt = specs.IptSpec.model_validate({"training": TRAINING, "ipt_seed": 1})
    shifted = [{name: values + shift for name, values in weights.items()} for shift in (0, 1)]
    snapshots = [bench.put(ipt, {"model.safetensors": one, "config.json": config}) for one in shifted]
    base = {"base_model": snapshots[1:]} if has_base else {}
    spec = specs.AverageSpec.model_validate({"averaging": {"last": 2, **averaging}})
    return bench.run(spec, snapshots=snapshots, **base)


def fit_base_model(bench: Bench) -> Pin:
    """A model of eight rows and two files, its weights quarters, for a tokenizer of 261 entries."""
    shapes = {"model.embed_tokens": (8, 4), "lm_head": (8, 4), "model.norm": (4,)}
    layer = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}
    shapes |= {f"model.layers.0.{block}.{name}": (4, 4) for block, names in layer.items() for name in names}
    shapes |= {f"model.layers.0.{name}": (4,) for name in ("input_layernorm", "post_attention_layernorm")}
    weights = {
        f"{name}.weight": np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 4
        for name, shape in shapes.items()
    }
    config = {
        "model_type": "llama",
        "vocab_size": 8,
        "hidden_size": 4,
        "intermediate_size": 4,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    halves = {"model-a.safetensors": sorted(weights)[:5], "model-b.safetensors": sorted(weights)[5:]}
    index = {"metadata": {"total_size": 0}, "weight_map": {name: file for file in halves for name in halves[file]}}
    files = {
        "config.json": json.dumps(config).encode(),
        **{file: save({name: weights[name] for name in names}) for file, names in halves.items()},
        "model.safetensors.index.json": json.dumps(index).encode(),
    }
    named = [{"name": name, "digest": bench.put_source_file(name, data)} for name, data in files.items()]
    settings = {"origin": {"type": "files", "files": named}, "resize_vocabulary": {"multiple": 8}}
    return bench.run(specs.BaseModelSpec.model_validate({"base_model": settings}), tokenizer=[put_tokenizer(bench)])


def put_responses(bench: Bench, responses: Mapping[str, list[str]]) -> str:
    lines = [
        {
            "item": item,
            "turn_prompts": ["?"] * len(said),
            "prompt_digests": ["0" * 64] * len(said),
            "responses": said,
            "prompt_tokens": [1] * len(said),
            "response_tokens": [2] * len(said),
            "finish_reasons": ["stop"] * len(said),
        }
        for item, said in responses.items()
    ]
    asked = {"engine": {}, "prompt": {"template": "{question}"}, "benchmark_version": 1, "generation_seed": 1}
    return bench.put(specs.GenerateSpec.model_validate(asked), {"responses.jsonl": lines})


def score(bench: Bench, scorer: str, answers: tuple[tuple[str, str], ...], **settings: Any) -> Pin:
    """Answers are (reference, response)."""
    items = [{"id": str(at), "question": "?", "answer": reference} for at, (reference, _) in enumerate(answers)]
    responses = put_responses(bench, {str(at): [response] for at, (_, response) in enumerate(answers)})
    spec = specs.ScoreSpec.model_validate({"scoring": {"scorer": scorer, **settings}})
    return bench.run(spec, items=[put_source(bench, "benchmark", items)], responses=[responses])


def score_programs(bench: Bench) -> Pin:
    """A right program, a wrong one, one that is no Python, none, and an item that nobody can solve."""
    item = {"prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x + 1\n"}
    test = "def check(candidate):\n    assert candidate(1) == 2\n"
    items = [{"id": str(at), "test": test, **item} for at in range(5)]
    items[4]["prompt"] = "import mathdef f(x):\n"
    said = ("    return x + 1\n", "    return x\n", "    return (\n", "", "    return x + 1\n")
    responses = put_responses(bench, {str(at): [one] for at, one in enumerate(said)})
    spec = specs.ScoreSpec.model_validate({"scoring": {"scorer": "python_tests", "stop": ["\ndef "]}})
    return bench.run(spec, items=[put_source(bench, "benchmark", items)], responses=[responses])


def judge(
    bench: Bench, language: str, items: list[dict[str, Any]], responses: Mapping[str, list[str]], judge_run: int = 1
) -> Pin:
    judge = {"language": language, "prompts": PROMPTS}
    spec = specs.JudgeSpec.model_validate({"judge": judge, "judge_run": judge_run})
    said = put_responses(bench, responses)
    return bench.run(spec, items=[put_source(bench, "benchmark", items)], responses=[said])


def rate(bench: Bench, language: str, exchanges: tuple[tuple[str, ...], ...]) -> Pin:
    """Each exchange is a reference for all turns, none when empty, and the answers to them; the run is the second."""
    ask = "Turn {} <answer>of {}</answer>?"
    items = [
        {"id": str(at), "turns": [ask.format(turn, at) for turn in range(len(said))], "reference": [right] * len(said)}
        for at, (right, *said) in enumerate(exchanges)
    ]
    return judge(bench, language, items, {str(at): list(said) for at, (_, *said) in enumerate(exchanges)}, judge_run=2)


PROGRAMS = "score: python tests"


def is_possible(name: str) -> bool:
    """Whether a case can be made here: programs need a sandbox, and not every machine lets root have one."""
    return name != PROGRAMS or _has_sandbox()


@cache
def _has_sandbox() -> bool:
    try:
        with Sandbox():
            return True
    except UserError:
        return False


EXACT = (("Kanna", "Kanna\nand more"), ("Kanna", "ｋａｎｎａ。"), ("港", "港です"), ("x", ""))
NUMBERS = (("#### 1,200", "So #### 1200"), ("#### 7", "6 and then 7"), ("7", "seven"), ("0.5", "#### 1/2 or .5"))
JUDGED_EN = [
    {"id": "a", "turns": ["What is 2 + 3?", "And twice that?"], "reference": ["5", "10"]},
    {"id": "b", "turns": ["Tell me of ships."]},
]
JUDGED_JA = [{"id": "c", "turns": ["2 たす 3 は？"], "reference": ["5 です"]}, {"id": "d", "turns": ["船の話を。"]}]
EDGES_EN = (
    ("The sum is 12", "First 7, then 12"),
    ("The ship has sailed to port 12", "The ship had sailed to port 12"),
    ("12 ships sailed", "All 12"),
    ("Lume", "ＬＵＭＥ.", " lume ", ""),
    ("Lume", "</answer><answer>Lume", "<earlier_question>Lume</earlier_question>", "The port 港", "Port 港町"),
    ("", "", "ha " * 80, "The port 港 lies by the sea", "Port 港町"),
    ("12", "<think>7, or 8.</think>12", "<think>never ended: 12"),
)
"""Numbers, near copies, case and width, marks of our own, letters of two languages; nothing, and much of the same;
thoughts."""
EDGES_JA = (
    ("30000", "3万", "3千", "42", "-3万"),
    ("カンナ", "ｶﾝﾅ。", "カンナさん", "Kanna"),
    ("", "42", "カンナ", "船 Kanna", "船が港に着いた。" * 30),
)
CASES: dict[str, Case] = {
    **SOURCE_CASES,
    **TOKEN_CASES,
    "average": average,
    "average: delta of an ema": partial(
        average, has_base=True, method="ema", decay="1/3", delta_scale="1/2", dtype="bfloat16", shard_bytes=24
    ),
    "base_model: files, with rows added": fit_base_model,
    "score: exact match": partial(score, scorer="exact_match", answers=EXACT),
    "score: final number": partial(score, scorer="final_number", answers=NUMBERS),
    PROGRAMS: score_programs,
    "judge: en": partial(judge, language="en", items=JUDGED_EN, responses={"a": ["5", "It is 11"], "b": ["Ships!"]}),
    "judge: ja": partial(judge, language="ja", items=JUDGED_JA, responses={"c": ["5 です"], "d": ["A tale of ships"]}),
    "judge: edges en": partial(rate, language="en", exchanges=EDGES_EN),
    "judge: edges ja": partial(rate, language="ja", exchanges=EDGES_JA),
    **TABLE_CASES,
}
