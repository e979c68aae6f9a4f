"""An aggregate of a small bilingual study with two variants, three SFT seeds and a judge."""

import json
from pathlib import Path

import pytest
from report_fakes import CERTIFICATE, DATA, SFT_CERTIFICATE, write_data

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.lineage import Ancestor
from mixlab.analysis.tidy import ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import (
    AggregateSettings,
    EffectSettings,
    ModelEntry,
    ModelIdentity,
    ModelScoresSettings,
    ReportSettings,
    ScoredPart,
    VariantLabel,
    build_comparisons,
)
from mixlab.report.page import write_report

JUDGE = "rule judge (not a language model)"
BENCHMARKS = {"math_en": ("math", "en"), "math_ja": ("math", "ja"), "code_en": ("code", "en")}
VARIANTS = {"aa11": 8, "bb22": 1}


def effect(**changes):
    stated = {"name": "math helps math", "variant": "混合 A", "against": "none", "stage": "after_sft"}
    return EffectSettings(**{**stated, "categories": ("math",), "at_least": "30 %", **changes})


@pytest.fixture
def settings() -> ReportSettings:
    return ReportSettings(
        title="A small <study> & its numbers",
        variants=(
            VariantLabel(label="混合 A", variant_key="aa11", description="with math | and code"),
            VariantLabel(label="none", variant_key="bb22"),
        ),
        effects=(
            effect(),
            effect(name="数学", at_least=0.95),
            effect(name="math before SFT", stage="before_sft"),
            effect(name="the judge agrees", measure="judge_score", categories=(), at_least=1),
        ),
        notes=("Ten items per benchmark.",),
        data=DATA,
    )


def _write_part(folder: Path, name: str, records: list[dict], **index: object) -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def _write_model(identity: ModelIdentity, folder: Path, right: int) -> Path:
    """A model with `right` of ten items right on each benchmark, one more per SFT seed."""
    right += identity.sft_seed or 0
    parts, folders = [], []
    for name, (category, language) in BENCHMARKS.items():
        records = [{"item": str(item), "score": float(item < right), "parsed": item > 0} for item in range(10)]
        unsolvable = [{"item": "9", "reason": "its prompt <is> broken"}] if name == "code_en" else []
        folders.append(_write_part(folder / name, "scores.jsonl", records, unsolvable=unsolvable))
        parts.append(ScoredPart(benchmark=name, measure="accuracy", language=language, category=category))
    for run in (0, 1):
        records = [{"item": str(item), "turn": 1, "score": float(right), "parsed": True} for item in range(1, 4)]
        records.append({"item": "0", "turn": 1, "score": None, "parsed": False})
        folders.append(_write_part(folder / f"judged{run}", "verdicts.jsonl", records, judge=JUDGE))
        parts.append(ScoredPart(benchmark="mt_bench_en", measure="judge_score", language="en", judge_run=run))
    out = folder / "out"
    out.mkdir()
    write_model_scores(
        ModelScoresSettings(model=identity, parts=tuple(parts)),
        ModelKeys(model_key=f"model-{folder.name}", mixture_key=f"mix-{identity.variant_key}"),
        [PartFolder(one, f"score-{folder.name}-{one.name}", f"generate-{folder.name}") for one in folders],
        out,
    )
    return out


@pytest.fixture
def aggregate(tmp_path: Path, settings: ReportSettings) -> Path:
    entries, folders = [], []
    for variant, right in VARIANTS.items():
        for sft_seed in (None, 0, 1, 2):
            stage = "before_sft" if sft_seed is None else "after_sft"
            seeds = {"mixture_seed": 0, "ipt_seed": 0, "sft_seed": sft_seed}
            identity = ModelIdentity(stage=stage, variant_key=variant, base_model_key="base", **seeds)
            entries.append(ModelEntry(position=len(entries), **identity.model_dump()))
            folders.append(_write_model(identity, tmp_path / "models" / f"{variant}-{sft_seed}", right))
    mixtures = {}
    for variant in VARIANTS:
        mixtures[f"mix-{variant}"] = tmp_path / "mixtures" / variant
        mixtures[f"mix-{variant}"].mkdir(parents=True)
        (mixtures[f"mix-{variant}"] / "certificate.json").write_text(json.dumps(CERTIFICATE))
    ancestry = {
        "mix-aa11": Ancestor("mixture", (("packs", "pack-1"),)),
        "pack-1": Ancestor("pack", (), (("source digest", "0" * 64),)),
    }
    out = tmp_path / "aggregate"
    out.mkdir()
    comparisons = build_comparisons(settings.effects, settings.variant_keys())
    gathered = AggregateSettings(models=tuple(entries), comparisons=comparisons)
    write_aggregate(gathered, folders, mixtures, out, ancestry=ancestry)
    return out


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The artifacts that the report's data is read from, by key."""
    return write_data(tmp_path / "data", {"mix-aa11": CERTIFICATE, "mix-sft": SFT_CERTIFICATE})


@pytest.fixture
def report(tmp_path: Path, settings: ReportSettings, aggregate: Path, folders: dict[str, Path]) -> Path:
    out = tmp_path / "report"
    out.mkdir()
    write_report(settings, aggregate, out, folders=folders)
    return out
