"""A study that nobody ran, of any size: answers, scores and verdicts as their stages leave them, for a page."""

import json
import random
from pathlib import Path
from typing import Any

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.lineage import Ancestor
from mixlab.analysis.tidy import ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import (
    AggregateSettings,
    ModelEntry,
    ModelIdentity,
    ModelScoresSettings,
    ReportSettings,
    ScoredPart,
    VariantLabel,
)
from mixlab.report.site.answers import Answerer, AnswerSet, Asked, Judged, Place
from mixlab.report.site.lineage import Held
from mixlab.report.site.site import SiteInputs
from mixlab.report.site.training import TrainedRun
from mixlab.report.tables import Section

WORDS = (
    "the",
    "mixture",
    "holds",
    "half",
    "code",
    "words",
    "数学",
    "の",
    "問題",
    "を",
    "解く",
    "is",
    "not",
    "known",
    "here",
)
NEEDLE = "a needle in the hay"
NASTY = "</script><img src=x onerror=alert(1)><script>alert(2)</script>\u2028"
SEEDS = 5


def make_study(root: Path, models: int, items: int, choice: random.Random) -> SiteInputs:
    """Write a study of `models` models, each of which answered `items` items, a tenth of them judged.

    Models are five seeds of each variant. One answer in a thousand holds NEEDLE, and one of each model is NASTY.
    """
    dialogues = max(1, items // 10)
    parts = (
        ScoredPart(benchmark="gsm8k", measure="accuracy", language="en", category="math"),
        ScoredPart(benchmark="mt_bench_ja", measure="judge_score", language="ja", judge_run=1),
    )
    answerers, sets, entries, folders, variants, ancestry = [], [], [], [], {}, dict[str, Ancestor]()
    ancestry["5000000000000000"] = Ancestor("source", (), (("digest", "ab" * 32),))
    ancestry["7000000000000000"] = Ancestor("source", (), (("digest", "ef" * 32),))
    checked = (("source", "5000000000000000"), ("benchmarks", "7000000000000000"))
    ancestry["6000000000000000"] = Ancestor("contamination", checked)
    filtered = (("source", "5000000000000000"), ("contamination", "6000000000000000"))
    ancestry["8000000000000000"] = Ancestor("filter", filtered)
    ancestry["3000000000000000"] = Ancestor("mixture", (("packs", "8000000000000000"),))
    for number in range(models):
        variant, seed = number // SEEDS, number % SEEDS + 1
        key = f"{variant:016x}"
        variants[key] = f"mixture {variant}"
        identity = {
            "stage": "after_sft",
            "variant_key": key,
            "base_model_key": "4000000000000000",
            "mixture_seed": 1,
            "ipt_seed": 1,
            "sft_seed": seed,
        }
        model, answers = f"a{number:015x}", [f"b{number:015x}", f"c{number:015x}"]
        skill = 0.2 + 0.6 * variant / max(1, models // SEEDS)
        scored = _write_scored(root / answers[0], items - dialogues, skill, choice)
        judged = _write_judged(root / answers[1], dialogues, skill, choice)
        settings = ModelScoresSettings(model=ModelIdentity(**identity), parts=parts)
        folder = root / f"scores{number}"
        folder.mkdir()
        places = [
            PartFolder(scored, f"d{number:015x}", answers[0]),
            PartFolder(judged, f"e{number:015x}", answers[1], responses=judged),
        ]
        write_model_scores(settings, ModelKeys(model, "3000000000000000"), places, folder)
        folders.append(folder)
        entries.append(ModelEntry(position=number, **identity))
        seeds = {"mixture_seed": 1, "ipt_seed": 1, "sft_seed": seed}
        answerers.append(Answerer(model, key, variants[key], "tiny", variants[key], "after_sft", seeds))
        sets.append(AnswerSet(Place(answers[0], scored), number, "gsm8k", 0, score=Place(f"d{number:015x}", scored)))
        verdicts = (Judged(Place(f"e{number:015x}", judged), 1),)
        sets.append(AnswerSet(Place(answers[1], judged), number, "mt_bench_ja", 0, judged=verdicts))
        ancestry[model] = Ancestor("sft", (("mixture", "3000000000000000"),))
        for at, stage in enumerate(("score", "judge")):
            ancestry[answers[at]] = Ancestor("generate", (("model", model),))
            ancestry[f"{'de'[at]}{number:015x}"] = Ancestor(stage, (("responses", answers[at]),))
    mixture = root / "mixture"
    mixture.mkdir()
    (mixture / "certificate.json").write_text(json.dumps(_CERTIFICATE))
    aggregate = root / "aggregate"
    aggregate.mkdir()
    settings = AggregateSettings(models=tuple(entries))
    write_aggregate(settings, folders, {"3000000000000000": mixture}, aggregate, ancestry=ancestry)
    labels = tuple(VariantLabel(label=label, variant_key=key) for key, label in variants.items())
    runs = [_write_run(root, number, choice) for number in range(min(models, 12))]
    held = {key: Held(f"made up/{one.stage}", "complete", "cd" * 32) for key, one in ancestry.items()}
    return SiteInputs(
        study="made_up",
        settings=ReportSettings(title="A study that nobody ran", variants=labels),
        aggregate=aggregate,
        folders={},
        held=held,
        beside={},
        answerers=answerers,
        benchmarks=[Asked("gsm8k", "accuracy", "en", "math"), Asked("mt_bench_ja", "judge_score", "ja", "")],
        sets=sets,
        runs=runs,
        price=Section("price", "Price", ["Nothing was run."], stays=True),
    )


def _say(choice: random.Random, words: int) -> str:
    return " ".join(choice.choices(WORDS, k=words))


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")


def _respond(item: str, turns: list[str], said: list[str]) -> dict[str, Any]:
    return {
        "item": item,
        "turn_prompts": turns,
        "prompt_digests": ["00" * 32] * len(turns),
        "responses": said,
        "prompt_tokens": [30] * len(turns),
        "response_tokens": [len(text) // 4 for text in said],
        "finish_reasons": ["stop"] * len(turns),
    }


def _write_scored(folder: Path, items: int, skill: float, choice: random.Random) -> Path:
    folder.mkdir(parents=True)
    responses, scores = [], []
    for item in range(items):
        text = NASTY if item == 3 else f"{NEEDLE} {item}" if choice.random() < 0.001 else _say(choice, 60)
        right, parsed = choice.random() < skill, choice.random() < 0.95
        responses.append(_respond(f"gsm8k/{item}", [f"Question {item}: how many are {item} and one?"], [text]))
        score = {
            "item": f"gsm8k/{item}",
            "score": float(right and parsed),
            "parsed": parsed,
            "extracted": "42" if parsed else None,
        }
        scores.append({**score, "note": None})
    _write_lines(folder / "responses.jsonl", responses)
    _write_lines(folder / "scores.jsonl", scores)
    (folder / "index.json").write_text(json.dumps({"scorer": "final_number", "unsolvable": []}))
    return folder


def _write_judged(folder: Path, items: int, skill: float, choice: random.Random) -> Path:
    folder.mkdir(parents=True)
    responses, verdicts = [], []
    for item in range(items):
        turns = [f"質問 {item}: なぜですか？", "もっと短く。"]
        responses.append(_respond(f"mt/{item}", turns, [_say(choice, 40), _say(choice, 15)]))
        for turn in (1, 2):
            score = float(min(10, max(1, round(choice.gauss(1 + 8 * skill, 2)))))
            reply = f"{_say(choice, 25)} Rating: [[{score:g}]]"
            said = {"item": f"mt/{item}", "turn": turn, "score": score, "parsed": True, "reply": reply}
            verdicts.append({**said, "prompt_digest": "00" * 32, "verdict_id": f"{item:032x}{turn:032x}"})
    _write_lines(folder / "responses.jsonl", responses)
    _write_lines(folder / "verdicts.jsonl", verdicts)
    (folder / "index.json").write_text(json.dumps({"judge": "made-up judge"}))
    return folder


def _write_run(root: Path, number: int, choice: random.Random) -> TrainedRun:
    path = root / f"log{number}.csv"
    rows = [
        f"{step},{step * 4096},{2 + 3 / (1 + step / 50) + choice.gauss(0, 0.05)!r},0.001" for step in range(1, 1001)
    ]
    path.write_text("\n".join(["step,tokens,loss,learning_rate", *rows]) + "\n")
    return TrainedRun(f"a{number:015x}", "sft", f"mixture {number // SEEDS}/sft_seed {number % SEEDS + 1}", path)


_CERTIFICATE: dict[str, Any] = {
    "seed": 1,
    "unit": "tokens",
    "budget": 1000,
    "max_epochs": "4",
    "on_empty_cell": "error",
    "sequence_tokens": 100,
    "windows": 10,
    "sources": {
        "label": ["en/math"],
        "requested_ratio": ["1"],
        "requested": [1000],
        "population_tokens": [40000],
        "allocated_tokens": [1000],
        "target_tokens": [1000],
        "response_tokens": [600],
        "windows": [10],
        "epochs": [0.025],
        "first_document": [0],
        "last_document": [87],
        "padding_tokens": [0],
        "cut_tokens": [0],
    },
    "repeated": [],
    "axes": {},
    "deviation": {"windows": 0.0, "source": 0},
}
