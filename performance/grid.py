"""A mock of the paper's grid: 4 base models x 25 mixtures, 3 SFT seeds, with and without SFT, 6 benchmarks."""

import shutil
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("en", "ja")
CATEGORIES = ("code", "general", "math", "reasoning")
BENCHMARKS = ("gsm8k", "mgsm_ja", "humaneval", "jhumaneval", "mt_bench_en", "mt_bench_ja")


def _source(kind: str, language: str, category: str | None = None, part: str = "tasks") -> dict[str, Any]:
    options: dict[str, Any] = {"language": language, "world_seed": 1}
    source: dict[str, Any] = {"kind": kind, "licence": "CC0-1.0"}
    if kind != "benchmark":
        source["language"] = language
    if category:
        options["category"] = category
        if kind == "instruction":
            source["category"] = category
    if part != "tasks":
        options["part"] = part
    # there are no more distinct items of a benchmark
    size = 40 if kind == "benchmark" else 100
    origin = {"type": "generator", "name": "invented_world", "size": size, "options": options}
    return {**source, "origin": origin}


def _variants() -> dict[str, Any]:
    even = {"weights": dict.fromkeys(CATEGORIES, 1)}
    variants: dict[str, Any] = {f"instruction {tenth}0": {"instruction": f"{tenth}/10"} for tenth in range(11)}
    variants["english only"] = {"language": {"ratios": {"en": 1}}}
    for category in CATEGORIES:
        others = [name for name in CATEGORIES if name != category]
        variants[f"without {category}"] = {"category": {"weights": dict.fromkeys(others, 1)}}
        variants[f"{category} half"] = {"category": {"weights": {**dict.fromkeys(others, 1), category: 3}}}
        variants[f"{category} only"] = {"category": {"ratios": {category: 1}}}
    variants["even"] = {"category": even}
    return variants


def build_study() -> dict[str, Any]:
    """Return the study: every source generated, so that nothing has to be there."""
    sources = {f"raw_{language}": _source("raw", language) for language in LANGUAGES}
    for language in LANGUAGES:
        for category in CATEGORIES:
            sources[f"{category}_{language}"] = _source("instruction", language, category)
    items = {"gsm8k": "math", "mgsm_ja": "math", "humaneval": "code", "jhumaneval": "code"}
    for name in BENCHMARKS:
        language = "ja" if name in ("mgsm_ja", "jhumaneval", "mt_bench_ja") else "en"
        category = items.get(name)
        sources[f"test_{name}"] = _source("benchmark", language, category, "tasks" if category else "dialogue")
    training = {
        "optimizer": {"name": "adamw", "learning_rate": "1e-4"},
        "schedule": {"name": "cosine", "warmup_steps": 100},
        "global_batch_windows": 1024,
    }
    model = {"hidden_size": 2048, "layers": 24, "heads": 16, "feed_forward": 7168, "max_positions": 4096}
    raw = {"sources": ["raw_en", "raw_ja"], "budget": {"tokens": 1_000_000_000}, "max_epochs": 1000}
    names = [f"{category}_{language}" for category in CATEGORIES for language in LANGUAGES]
    return {
        "title": "Grid",
        "sources": sources,
        "tokenizers": {f"tokenizer{n}": {"vocab_size": 1000 + n, "sources": ["raw_en"]} for n in range(4)},
        "base_models": {
            f"base{n}": {
                "tokenizer": f"tokenizer{n}",
                "model": {**model, "layers": 24 + n},
                "mixture": raw,
                "sequence_tokens": 4096,
                "training": training,
            }
            for n in range(4)
        },
        "variant_defaults": {
            "sources": ["raw_en", "raw_ja", *names],
            "instruction": "3/5",
            "budget": {"tokens": 100_000_000_000},
            "max_epochs": 10**6,
        },
        "variants": _variants(),
        "ipt": {"sequence_tokens": 4096, "training": {**training, "snapshots": {"every_steps": 100, "keep": 10}}},
        "average": {"last": 10},
        "sft": {
            "mixture": {"sources": names, "budget": {"epochs": 2}, "max_epochs": 2},
            "sequence_tokens": 4096,
            "training": {**training, "loss": "response"},
        },
        "seeds": {"sft_seed": [1, 2, 3], "judge_run": [1, 2, 3]},
        "benchmarks": {name: {"data": f"test_{name}"} for name in BENCHMARKS},
    }


def build_many() -> dict[str, Any]:
    """A study of the size of Harada & Yamauchi's: over 1,000 fine-tuned models, 26,000 artifacts."""
    study = build_study()
    for number in range(4, 12):
        study["tokenizers"][f"tokenizer{number}"] = {"vocab_size": 1000 + number, "sources": ["raw_en"]}
        base = study["base_models"]["base0"]
        model = {**base["model"], "layers": 24 + number}
        study["base_models"][f"base{number}"] = {**base, "tokenizer": f"tokenizer{number}", "model": model}
    for percent in (5, 15, 25, 35):
        study["variants"][f"instruction {percent}"] = {"instruction": f"{percent}/100"}
    return study


STUDIES = {"paper": build_study, "many": build_many}


PAPER = {
    "llmjp3": ("llmjp3-1.8b", 99_574),
    "qwen2.5": ("qwen2.5-1.5b", 151_936),
    "llama-inhouse": ("llama-inhouse-1.3b", 99_574),
    "llama3.2": ("llama3.2-1b", 128_256),
}
"""The paper's base models: architecture and vocabulary, as studies/kodama_oda/architectures.yaml says them."""


_OURS = {
    "gsm8k": "demo_math_en",
    "mgsm_ja": "demo_math_ja",
    "humaneval": "demo_code_en",
    "jhumaneval": "demo_code_ja",
    "mt_bench_en": "demo_dialogue_en",
    "mt_bench_ja": "demo_dialogue_ja",
}
"""Declarations that generated items fit, so that what is asked can be counted."""


def build_paper_study() -> dict[str, Any]:
    """Return the mock with the paper's own recipes, architectures, window lengths and steps (studies/kodama_oda/).

    Base models are declared from scratch, since nothing can be downloaded: their pretraining is a few windows, and
    stands in a line of its own. Data are generated, so that budgets stand and packs need not be there.
    """
    study = build_study()
    pretraining = study["base_models"]["base0"]
    overrides = {"ipt": {"sequence_tokens": 4096}, "sft": {"sequence_tokens": 4096}}
    return {
        "extends": ["kodama_oda/architectures.yaml", "kodama_oda/recipes.yaml"],
        **{name: study[name] for name in ("title", "variants", "seeds")},
        "sources": study["sources"],
        "benchmarks": {name: {"data": f"test_{name}", "uses": uses} for name, uses in _OURS.items()},
        "tokenizers": {
            f"tokenizer of {name}": {"vocab_size": vocabulary, "sources": ["raw_en"]}
            for name, (_, vocabulary) in PAPER.items()
        },
        "base_models": {
            name: {
                "tokenizer": f"tokenizer of {name}",
                "architecture": architecture,
                "mixture": {**pretraining["mixture"], "budget": {"windows": 1024}},
                "sequence_tokens": 4096,
                "training": {**pretraining["training"], "schedule": {"name": "constant"}},
                **({"overrides": overrides} if name == "llmjp3" else {}),
            }
            for name, (architecture, _) in PAPER.items()
        },
        # the budget is that of the recipes: 25,000 steps of 1,024 windows
        "variant_defaults": {
            name: study["variant_defaults"][name] for name in ("sources", "instruction", "max_epochs")
        },
        "sft": {"mixture": {**study["sft"]["mixture"], "budget": {"samples": 20_000}, "max_epochs": 1000}},
    }


def write_paper_study(root: Path, study: dict[str, Any]) -> None:
    """Write the paper's mock with what it extends."""
    target = root / "studies" / "kodama_oda"
    if not target.exists():
        shutil.copytree(Path(__file__).resolve().parent.parent / "studies" / "kodama_oda", target)
    write_study(root, study)


def write_study(root: Path, study: dict[str, Any]) -> None:
    """Write the mock as the only study of a working folder."""
    (root / "studies").mkdir(exist_ok=True)
    (root / "studies" / "grid.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    (root / "config.yaml").write_text("study: grid\n", encoding="utf-8")
