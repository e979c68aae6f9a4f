"""The fixed tiny inputs behind golden_bytes.json, hand-made and written out: scores, aggregate, report."""

from collections.abc import Callable, Iterator
from typing import Any

from golden_bytes import Bench, Pin

from mixlab.analysis.effects import comparison_id
from mixlab.analysis.tidy import SCHEMA
from mixlab.config.analysis import EffectSettings, build_comparisons
from mixlab.plan import specs

JUDGE = "rule judge (not a language model)"
KEYS = {"with math 数学": "aa11", "without": "bb22"}
"""Label -> key of a variant."""
EFFECTS = tuple(
    EffectSettings.model_validate({"variant": "with math 数学", "against": "without", "stage": "after_sft", **effect})
    for effect in (
        {"name": "math helps", "categories": ["math"], "at_least": "1/4"},
        {"name": "the judge agrees", "measure": "judge_score", "at_least": 1},
    )
)
TRAINING = {
    "optimizer": {"name": "adamw", "learning_rate": 0.01},
    "schedule": {"name": "constant"},
    "global_batch_windows": 1,
}
ASKED = "<question>{question}</question> <answer>{answer}</answer>"
REFERENCE = "<reference>{reference}</reference>"
PROMPTS = {
    "system": "Rate.",
    "exchange": "{question} {answer}",
    "first": ASKED,
    "first_with_reference": f"{ASKED} {REFERENCE}",
    "later": f"{{earlier}} {ASKED}",
    "later_with_reference": f"{{earlier}} {ASKED} {REFERENCE}",
}
"""A judge's prompts, not ours: those may be reworded, which changes a spec and no code."""
PARTS = (
    {"benchmark": "math_en", "measure": "accuracy", "language": "en", "category": "math", "judge_run": None},
    {"benchmark": "talk_en", "measure": "judge_score", "language": "en", "category": None, "judge_run": 1},
)


def build_axis(**parts: tuple[str, float]) -> dict[str, Any]:
    """An axis of a certificate by columns: part -> ratio asked for, share taken."""
    shares = [share for _, share in parts.values()]
    asked = [ratio for ratio, _ in parts.values()]
    measures = ("observed_ratio", "target_ratio", "response_ratio")
    return {"part": [*parts], "requested_ratio": asked, **dict.fromkeys(measures, shares)}


CERTIFICATE = {
    "seed": 1,
    "unit": "tokens",
    "budget": 1000,
    "max_epochs": "8",
    "on_empty_cell": "error",
    "sequence_tokens": 16,
    "windows": 64,
    "sources": {
        "label": ["en/math", "ja raw"],
        "requested_ratio": ["1/4", "3/4"],
        "requested": [250, 750],
        "population_tokens": [50, 4000],
        "allocated_tokens": [260, 740],
        "target_tokens": [240, 700],
        "response_tokens": [100, 0],
        "windows": [17, 47],
        "epochs": [5.2, 0.185],
        "first_document": [0, 3],
        "last_document": [12, 90],
        "padding_tokens": [12, 12],
        "cut_tokens": [3, 0],
    },
    "repeated": [0],
    "axes": {
        "instruction": build_axis(instruction=("1/4", 0.26), raw=("3/4", 0.74)),
        "language": {**build_axis(en=("1/2", 1.0)), "feasible_ratio": ["1"]},
        "category": build_axis(math=("1", 1.0)),
        "cells": build_axis(**{"en/math": ("1", 1.0)}),
        "raw": build_axis(ja=("1", 1.0)),
    },
    "deviation": {"windows": 0.5, "source": 0},
    "phases": [
        {
            "begin": "0",
            "windows": 32,
            "requested_ratio": ["1/2", "1/2"],
            "requested": [250, 250],
            "allocated": [260, 245],
        },
        {"begin": "1/2", "windows": 32, "requested_ratio": ["0", "1"], "requested": [0, 500], "allocated": [0, 495]},
    ],
}


def put_mixture(bench: Bench) -> str:
    source = {"kind": "raw", "language": "en"}
    spec = specs.MixtureSpec.model_validate({"mixture": {"sources": [source], "budget": {"tokens": 1000}}})
    return bench.put(spec, {"certificate.json": CERTIFICATE})


def score_model(bench: Bench) -> Pin:
    """Right, wrong and unreadable answers; a verdict without a rating; a mixture found behind the model."""
    ipt = specs.IptSpec.model_validate({"training": TRAINING, "ipt_seed": 2})
    model = bench.put(ipt, {}, mixture=[put_mixture(bench)])
    asked = specs.GenerateSpec.model_validate(
        {"engine": {}, "prompt": {"template": "{question}"}, "benchmark_version": 1, "generation_seed": 1}
    )
    said = {"turn_prompts": ["?", "?"], "responses": ["数は七", "seven"], "finish_reasons": ["stop", "length"]}
    responses = bench.put(asked, {"responses.jsonl": [{"item": "数", **said}]}, model=[f"{model}:last-00"])
    scored = [{"item": str(at), "score": right, "parsed": at < 3} for at, right in enumerate((1.0, 0.0, 0.5, 0.0))]
    unsolvable = [{"item": "3", "reason": "its prompt is broken"}]
    first = bench.put(
        specs.ScoreSpec.model_validate({"scoring": {"scorer": "exact_match"}}),
        {"scores.jsonl": scored, "index.json": {"unsolvable": unsolvable}},
        responses=[responses],
    )
    rated = [
        {"item": "数", "turn": turn, "score": score, "parsed": score is not None, "verdict_id": f"verdict-{turn}"}
        for turn, score in ((1, 7.0), (2, None))
    ]
    judge = {"language": "en", "prompts": PROMPTS}
    second = bench.put(
        specs.JudgeSpec.model_validate({"judge": judge, "judge_run": 1}),
        {"verdicts.jsonl": rated, "index.json": {"judge": JUDGE}},
        responses=[responses],
    )
    identity = {"stage": "after_sft", "variant_key": "aa11", "base_model_key": "cc33"}
    seeds = {"mixture_seed": 1, "ipt_seed": 2, "sft_seed": 3}
    spec = specs.ScoresSpec.model_validate({"scores": {"model": {**identity, **seeds}, "parts": PARTS}})
    return bench.run(spec, results=[first, second], responses=[responses])


def list_models() -> Iterator[dict[str, Any]]:
    """Two variants before SFT and after it with two seeds."""
    for variant in KEYS.values():
        for sft_seed in (None, 1, 2):
            stage = "before_sft" if sft_seed is None else "after_sft"
            seeds = {"mixture_seed": 1, "ipt_seed": 1, "sft_seed": sft_seed}
            yield {"stage": stage, "variant_key": variant, "base_model_key": "cc33", **seeds}


def list_rows(model: dict[str, Any], mixture: str) -> Iterator[dict[str, Any]]:
    """Four items of mathematics, `right` of them right, and two rated turns, one of them without a rating."""
    right = (2 if model["variant_key"] == "aa11" else 0) + (model["sft_seed"] or 0)
    name = f"{model['variant_key']}-{model['sft_seed']}"
    keys = {"model_key": f"model-{name}", "mixture_key": mixture, "generate_key": f"generate-{name}"}
    shared = {**model, **keys, "generation_seed": 1}
    for item in range(4):
        score = {"item": str(item), "turn": 1, "score": float(item < right), "parsed": item > 0}
        yield {**shared, **PARTS[0], **score, "score_key": f"score-{name}"}
    for turn, rating in ((1, 2.0 * right + 1), (2, float("nan"))):
        verdict = {"item": "a", "turn": turn, "score": rating, "parsed": turn == 1, "judge": JUDGE}
        yield {**shared, **PARTS[1], **verdict, "score_key": f"judge-{name}", "verdict_id": f"{name}-{turn}"}


def gather(bench: Bench) -> Pin:
    models = list(list_models())
    mixtures = {key: put_mixture(bench) for key in KEYS.values()}
    unsolvable = [{"item": "3", "reason": "its prompt is broken"}]
    index = {"parts": [{**PARTS[0], "unsolvable": unsolvable}, {**PARTS[1], "unsolvable": []}]}
    scores = []
    for model in models:
        rows = list(list_rows(model, mixtures[model["variant_key"]]))
        spec = specs.ScoresSpec.model_validate({"scores": {"model": model, "parts": PARTS}})
        files = {"scores.parquet": {"rows": rows, "schema": SCHEMA}, "index.json": index}
        scores.append(bench.put(spec, files, mixture=[mixtures[model["variant_key"]]]))
    entries = [{"position": at, **model} for at, model in enumerate(models)]
    comparisons = [one.model_dump() for one in build_comparisons(EFFECTS, KEYS)]
    spec = specs.AggregateSpec.model_validate({"aggregate": {"models": entries, "comparisons": comparisons}})
    return bench.run(spec, scores=scores, mixtures=list(mixtures.values()))


CELLS = """\
variant_key,stage,benchmark,measure,language,category,judge,mean,se_seeds,seed_level,n_seeds,se_items,n_items,\
n_models,n_answers,n_unparsed
aa11,after_sft,math_en,accuracy,en,math,,0.75,0.125,sft_seed,2,0.1875,4,2,8,1
aa11,after_sft,talk_en,judge_score,en,,JUDGE,6.5,0.5,sft_seed,2,,1,2,4,2
aa11,before_sft,math_en,accuracy,en,math,,0.5,,,1,0.1875,4,1,4,1
bb22,after_sft,math_en,accuracy,en,math,,0.25,0.0,sft_seed,2,0.1875,4,2,8,0
bb22,before_sft,math_en,accuracy,en,math,,0.0,,,1,0.125,4,1,4,0
""".replace("JUDGE", JUDGE)
REPLICATES = """\
variant_key,stage,benchmark,measure,mixture_seed,ipt_seed,sft_seed,mean
aa11,after_sft,math_en,accuracy,1,1,1,0.625
aa11,after_sft,math_en,accuracy,1,1,2,0.875
aa11,after_sft,talk_en,judge_score,1,1,1,6.0
aa11,after_sft,talk_en,judge_score,1,1,2,7.0
aa11,before_sft,math_en,accuracy,1,1,,0.5
bb22,after_sft,math_en,accuracy,1,1,1,0.25
bb22,after_sft,math_en,accuracy,1,1,2,0.25
bb22,before_sft,math_en,accuracy,1,1,,0.0
"""
EFFECT_TABLE = """\
effect,variant_key,against_key,stage,measure,benchmarks,at_least,variant_mean,variant_seed_level,variant_n_seeds,\
against_mean,against_seed_level,against_n_seeds,difference,se_seeds,se_items,standard_error,ratio,incomplete_models,\
verdict
EFFECT,aa11,bb22,after_sft,accuracy,math_en,0.25,0.75,sft_seed,2,0.25,sft_seed,2,0.5,0.125,0.25,0.25,2.0,0,not met
"""


TESTS = """\
effect,level,test,role,unit,n_variant,n_against,difference,low,high,statistic,df,p,p_holm,p_bh,family,effect_size,\
simulated_level,note
EFFECT,these models,paired_t,primary,sft_seed,2,2,0.5,-1.088,2.088,4.0,1.0,0.156,0.156,0.156,1,2.3,0.05,
EFFECT,this recipe,welch_t,primary,ipt_seed,1,1,0.5,,,,,,,,0,,,not estimable: one IPT seed
"""
RANKING = """\
base_model_key,stage,measure,benchmarks,level,rank,variant_key,mean,n,behind_best,p_holm,pairs,standing,note
cc33,after_sft,accuracy,math_en,these models,1,aa11,0.75,2,0.0,,1,best,
cc33,after_sft,accuracy,math_en,these models,2,bb22,0.25,2,0.5,0.0004,1,behind the best,
"""
RELATIVE = """\
variant_key,measure,benchmarks,averaging,level,unit,n,before,after,improvement,low,high,note
aa11,accuracy,math_en,of averages,these models,sft_seed,2,0.5,0.75,0.5,-2.6,3.6,
bb22,accuracy,math_en,of averages,these models,sft_seed,2,0.0,0.25,,,,not estimable: 0 before SFT
"""
INTERVALS = """\
variant_key,stage,benchmark,measure,level,unit,n,models,mean,low,high,df,note
aa11,after_sft,math_en,accuracy,these models,sft_seed,2,2,0.75,-0.83,2.33,1.0,
aa11,after_sft,math_en,accuracy,this recipe,ipt_seed,1,2,0.75,,,,not estimable: one IPT seed
"""
VARIANCE = """\
variant_key,stage,benchmark,measure,component,deviation,variance,units,df,upper,note
aa11,after_sft,math_en,accuracy,sft_seed,0.25,0.0625,2,1,0.98,
aa11,after_sft,talk_en,judge_score,,,,0,,,not estimable: 0 of 1 items scored
"""


def report(bench: Bench) -> Pin:
    """The second effect is one that the aggregate did not measure."""
    effect = comparison_id(EFFECTS[0].to_comparison(KEYS))
    lineage = {
        "cells": [
            {
                "variant_key": key,
                "stage": "after_sft",
                "benchmark": "math_en",
                "measure": "accuracy",
                "made_of": [{"mixture_seed": 1, "sft_seed": 1, "mixture_key": "dd44", "score_key": f"score-{key}"}],
            }
            for key in KEYS.values()
        ],
        "mixtures": {"dd44": {"certificate_digest": "0" * 64}},
        "ancestry": {"dd44": {"stage": "mixture", "parents": [["packs", "ee55"]], "facts": [["digest", "1" * 64]]}},
    }
    models = list(list_models())
    files = {
        "scores.parquet": {"rows": [row for one in models for row in list_rows(one, "dd44")], "schema": SCHEMA},
        "tests.csv": TESTS.replace("EFFECT", effect),
        "ranking.csv": RANKING,
        "relative.csv": RELATIVE,
        "intervals.csv": INTERVALS,
        "variance.csv": VARIANCE,
        "cells.csv": CELLS,
        "replicates.csv": REPLICATES,
        "effects.csv": EFFECT_TABLE.replace("EFFECT", effect),
        "unsolvable.csv": "benchmark,item,reason,models\nmath_en,3,its prompt <is> broken,2\n",
        "metrics.json": {"effects": {effect: {"difference": 0.5}}, "scores": {"aa11": {"after_sft": {}}}},
        "lineage.json": lineage,
        "mixtures/dd44.json": CERTIFICATE,
    }
    entries = [{"position": at, **model} for at, model in enumerate(models)]
    aggregate = bench.put(specs.AggregateSpec.model_validate({"aggregate": {"models": entries}}), files)
    named = {"description": "a | b", "base_model": "tiny"}
    labels = [{"label": label, "variant_key": key, **named} for label, key in KEYS.items()]
    effects = [one.model_dump() for one in EFFECTS]
    data, parents = put_data(bench)
    settings = {
        "title": "A small <study>",
        "study": "small",
        "variants": labels,
        "effects": effects,
        "notes": ["Four items."],
    }
    spec = specs.ReportSpec.model_validate({"report": {**settings, "data": data}})
    return bench.run(spec, aggregate=[aggregate], **parents)


STORES = (
    {"source": "算数", "kind": "instruction", "language": "en", "category": "math", "pools": ["ipt", "sft"]},
    {"source": "web", "kind": "raw", "language": "ja", "pools": ["ipt"]},
)


def put_data(bench: Bench) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What a report says of two sources, one of them not checked, and the artifacts behind it."""
    mixture = put_mixture(bench)
    hit = {"items": 9, "items_compared": 8, "items_short": 1, "items_plain": 0, "items_common": 0}
    hit |= {"items_hit": 2, "records_hit": 1}
    check = bench.put(
        specs.ContaminationSpec.model_validate({"contamination": {}}),
        {"index.json": {"records": 40, "contaminated": 1, "benchmarks": [hit]}},
    )
    left = {
        "records_in": 40,
        "records": 38,
        "excluded": 2,
        "reasons": {"the same": 2},
        "flagged": {"email": {"records": 1}},
    }
    filtered = bench.put(
        specs.FilterSpec.model_validate({"filter": {"type": "exact_duplicates"}}), {"index.json": left}
    )
    rows = "tokenizer,kind,language,category,source,samples,tokens,response_tokens,excluded,pools\n"
    rows += "bpe,instruction,en,math,算数,38,50000,20000,0,ipt/sft\n"
    counted = {"counts.csv": rows, "index.json": {"balanced": None}}
    counts = bench.put(build_counts(), counted)
    filters = [{"name": "exact_duplicates", "key": filtered}]
    checked = {"contamination": check, "filters": filters}
    shown = {
        "mixtures": [
            {
                "label": "数学 | 1",
                "key": mixture,
                "purposes": ["ipt"],
                "tokenizer": "bpe",
                "tokenizer_key": "ff66",
                "sources": ["算数", "web"],
            }
        ],
        "sources": [
            {"name": "算数", "licence": "MIT", "tiers": ["permissive"], "permission": "allowed", **checked},
            {"name": "web", "licence": "unknown", "permission": "exception: asked"},
        ],
        "benchmarks": ["math_en"],
        "counts": counts,
        "assumptions": [{"address": "ipt.training.weight_decay", "value": "0.1", "reason": "not <said>"}],
    }
    return shown, {"mixtures": [mixture], "contamination": [check], "filters": [filtered], "counts": [counts]}


def build_counts() -> specs.CountsSpec:
    stores = [{**store, "tokenizer": tokenizer} for tokenizer in ("bpe", "file") for store in STORES]
    balanced = {"pool": "sft", "tokenizer": "bpe"}
    return specs.CountsSpec.model_validate({"counts": {"stores": stores, "balanced": balanced}})


def count(bench: Bench) -> Pin:
    """Two sources with two tokenizers, one of which refuses a record."""
    spec = specs.TokenizeSpec.model_validate({"tokenize": {}})
    cards = [
        {"documents": samples, "tokens": tokens, "response_tokens": responses, "excluded": 10 - samples}
        for samples, tokens, responses in ((10, 1500, 700), (10, 2_000_000, 0), (9, 1250, 600), (10, 999_999, 0))
    ]
    return bench.run(build_counts(), stores=[bench.put(spec, {"index.json": card}) for card in cards])


TABLE_CASES: dict[str, Callable[[Bench], Pin]] = {
    "scores": score_model,
    "aggregate": gather,
    "report": report,
    "counts": count,
}
