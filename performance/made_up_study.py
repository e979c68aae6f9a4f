"""A study that nobody ran, of any size: answers, scores and verdicts as their stages leave them, for a page."""

import json
import random
from pathlib import Path

from made_up_answers import CERTIFICATE, write_judged, write_scored

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
        scored = write_scored(root / answers[0], items - dialogues, skill, choice)
        judged = write_judged(root / answers[1], dialogues, skill, choice)
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
    (mixture / "certificate.json").write_text(json.dumps(CERTIFICATE))
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


def _write_run(root: Path, number: int, choice: random.Random) -> TrainedRun:
    path = root / f"log{number}.csv"
    rows = [
        f"{step},{step * 4096},{2 + 3 / (1 + step / 50) + choice.gauss(0, 0.05)!r},0.001" for step in range(1, 1001)
    ]
    path.write_text("\n".join(["step,tokens,loss,learning_rate", *rows]) + "\n")
    return TrainedRun(f"a{number:015x}", "sft", f"mixture {number // SEEDS}/sft_seed {number % SEEDS + 1}", path)
