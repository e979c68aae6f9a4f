"""A study that nobody ran, with what a page can hold: two mixtures before and after SFT, a served model that is the
judge as well, ratings by two judge runs, pairwise comparisons in both directions, and stated effects."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from made_up_answers import CERTIFICATE, write_judged, write_lines, write_scored

from mixlab.analysis.aggregate import write_aggregate
from mixlab.analysis.lineage import Ancestor
from mixlab.analysis.tidy import ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import (
    AggregateSettings,
    EffectSettings,
    ModelEntry,
    ModelIdentity,
    ModelScoresSettings,
    PairEntry,
    ReportSettings,
    ScoredPart,
    VariantLabel,
    build_comparisons,
)
from mixlab.config.targets import TargetSettings
from mixlab.report.site.answers import Answerer, AnswerSet, Asked, Compared, Judged, Place
from mixlab.report.site.lineage import Held
from mixlab.report.site.site import SiteInputs
from mixlab.report.site.training import TrainedRun
from mixlab.report.tables import Section

MIXED, RAW, HOSTED = (letter * 16 for letter in "abc")
LABELS = {MIXED: "half code", RAW: "raw only", HOSTED: "hosted"}
SOURCE, ITEMS, MIXTURE, PACK = (f"{digit}000000000000000" for digit in "5732")
BASE = "4000000000000000"
QUESTIONS, DIALOGUES, RUNS, SFT_SEEDS = 12, 4, (1, 2), (1, 2, 3)
SKILLS = {MIXED: 0.8, RAW: 0.3, HOSTED: 0.6}
PARTS = (
    ScoredPart(benchmark="gsm8k", measure="accuracy", language="en", category="math"),
    *(ScoredPart(benchmark="mt_bench_ja", measure="judge_score", language="ja", judge_run=run) for run in RUNS),
)
VERDICTS: tuple[tuple[str | None, str | None], ...] = (("a", "a"), ("a", "b"), (None, "a"), ("tie", "tie"))
"""Verdicts on the first turn of each dialogue, in both orders: `a` wins, the order decides, one is not read, a tie.

The tie is one of equal answers, about which nobody is asked. `b` wins every second turn."""


@dataclass
class _Made:
    """What has been written so far."""

    root: Path
    choice: random.Random
    entries: list[ModelEntry] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    answerers: list[Answerer] = field(default_factory=list)
    scored: list[AnswerSet] = field(default_factory=list)
    judged: list[AnswerSet] = field(default_factory=list)
    ancestry: dict[str, Ancestor] = field(default_factory=dict)
    pairs: list[PairEntry] = field(default_factory=list)
    pair_folders: dict[str, Path] = field(default_factory=dict)


def make_compared_study(root: Path) -> SiteInputs:
    """Write the study's artifacts below `root` and return what its page is made from."""
    made = _Made(root, random.Random(7))
    made.ancestry |= {
        SOURCE: Ancestor("source", (), (("digest", "ab" * 32),)),
        ITEMS: Ancestor("source", (), (("digest", "ef" * 32),)),
        PACK: Ancestor("pack", (("tokens", SOURCE),)),
        MIXTURE: Ancestor("mixture", (("packs", PACK),)),
    }
    for identity in _list_models():
        _add_model(made, identity)
    _add_pairs(made)
    mixture, aggregate = root / "mixture", root / "aggregate"
    mixture.mkdir()
    aggregate.mkdir()
    (mixture / "certificate.json").write_text(json.dumps(_add_raw_part(CERTIFICATE)))
    settings = _build_settings()
    gathered = AggregateSettings(
        models=tuple(made.entries),
        comparisons=build_comparisons(settings.effects, settings.variant_keys()),
        own_answers=((HOSTED, "served"),),
        pairs=tuple(made.pairs),
    )
    certificates = {MIXTURE: mixture}
    pairs = made.pair_folders
    write_aggregate(gathered, made.folders, certificates, aggregate, ancestry=made.ancestry, pairs=pairs)
    log = root / "log.csv"
    log.write_text("step,tokens,loss,learning_rate\n1,10,3.5,0.1\n2,25,3.25,0.1\n")
    silent = root / "silent.csv"
    silent.write_text("step,tokens,loss,learning_rate\n1,10,,0.1\n2,25,,0.1\n")
    return SiteInputs(
        study="compared",
        settings=settings,
        aggregate=aggregate,
        folders={MIXTURE: mixture},
        held={key: Held(f"made up/{one.stage}", "complete", "cd" * 32) for key, one in made.ancestry.items()},
        beside={},
        answerers=made.answerers,
        benchmarks=[Asked("gsm8k", "accuracy", "en", "math"), Asked("mt_bench_ja", "judge_score", "ja", "")],
        sets=[*made.scored, *made.judged],
        runs=[TrainedRun("k1", "sft", "told", log), *_list_silent(silent)],
        price=Section("price", "Price", ["Nothing was run."], stays=True),
        targets=_list_targets(),
    )


def _add_raw_part(certificate: dict[str, Any]) -> dict[str, Any]:
    """Let half of a mixture of one source come from a raw one."""
    sources = {name: values * 2 for name, values in certificate["sources"].items()}
    halves = {"label": ["en/math", "en"], "requested_ratio": ["1/2", "1/2"]}
    return {**certificate, "sources": {**sources, **halves}}


def _list_targets() -> list[TargetSettings]:
    """A figure of both stages, a table of differences, one of gains, raw corpora, and counts that are not here."""
    math = {"label": "GSM8K", "measure": "accuracy", "benchmarks": ["gsm8k"]}
    liked = {"label": "MT-Bench", "measure": "judge_score"}
    table = {"rows": ["variant"], "columns": ["base_model", "measure"], "measures": [math, liked]}
    figure = {"x": {"raw only": 0, "half code": 50}, "x_label": "code, %", "y_label": "score"}
    both = {"columns": ["stage", "measure"], "stages": ["before_sft", "after_sft"]}
    asked: dict[str, dict[str, Any]] = {
        "figure_one": {"of": "Figure 1", "title": "Before and after SFT", **table, **both, "figure": figure},
        "table_one": {"of": "Table 1", "title": "Differences", **table, "against": "raw only"},
        "table_two": {"of": "Table 2", "title": "Gains", **table, "gain": "of_averages"},
        "table_three": {
            "type": "raw", "of": "Table 3", "title": "Raw corpora", "variant": "half code", "base_model": "tiny",
        },
        "table_four": {"type": "counts", "of": "Table 4", "title": "Samples and tokens", "table": "table1"},
    }  # fmt: skip
    points = [
        {"variant": LABELS[key], "base_model": "tiny", "variant_key": key, "mixture_key": MIXTURE}
        for key in (MIXED, RAW)
    ]
    seeds = {"mixture_seed": 1, "ipt_seed": 2, "sft_seed": len(SFT_SEEDS), "generation_seed": 1, "judge_run": 2}
    return [
        TargetSettings.model_validate(
            {"name": name, "target": {"type": "scores", **target}, "points": points, "seeds": seeds}
        )
        for name, target in asked.items()
    ]


def _list_silent(log: Path) -> Iterator[TrainedRun]:
    """Runs without a loss: one beside a run that has some, and one that is alone of its kind."""
    return (TrainedRun(f"k-{purpose}", purpose, f"{purpose} without a loss", log) for purpose in ("sft", "ipt"))


def _build_settings() -> ReportSettings:
    effects = tuple(
        EffectSettings(name=name, variant="half code", against="raw only", stage="after_sft", **more)
        for name, more in (
            ("code helps", {"at_least": "10 %", "benchmarks": ("gsm8k",)}),
            ("code is liked", {"at_least": 1, "measure": "judge_score"}),
            ("code wins it all", {"at_least": "95 %"}),
        )
    )
    labels = tuple(VariantLabel(label=label, variant_key=key) for key, label in LABELS.items())
    return ReportSettings(title="A study of everything", variants=labels, effects=effects)


def _list_models() -> Iterator[ModelIdentity]:
    for variant in (MIXED, RAW):
        for ipt_seed in (1, 2):
            common = {"variant_key": variant, "base_model_key": BASE, "mixture_seed": 1, "ipt_seed": ipt_seed}
            yield ModelIdentity(stage="before_sft", **common)
            yield from (ModelIdentity(stage="after_sft", sft_seed=seed, **common) for seed in SFT_SEEDS)
    yield ModelIdentity(stage="served", variant_key=HOSTED, base_model_key=HOSTED)


def _add_model(made: _Made, identity: ModelIdentity) -> None:
    number = len(made.entries)
    is_served = identity.stage == "served"
    model = identity.variant_key if is_served else f"a{number:015x}"
    skill = SKILLS[identity.variant_key] - (0.2 if identity.stage == "before_sft" else 0)
    answers = [f"{letter}{number:015x}" for letter in "bc"]
    scored = write_scored(made.root / answers[0], QUESTIONS, skill, made.choice)
    judged = write_judged(made.root / answers[1], DIALOGUES, skill, made.choice)
    again = _judge_again(judged, made.root / f"{answers[1]}-again")
    keys = [f"d{number:015x}", *(f"e{run}{number:014x}" for run in RUNS)]
    places = [
        PartFolder(scored, keys[0], answers[0]),
        PartFolder(judged, keys[1], answers[1], responses=judged),
        PartFolder(again, keys[2], answers[1], responses=judged),
    ]
    folder = made.root / f"scores{number}"
    folder.mkdir()
    own = ModelKeys(model, None if is_served else MIXTURE)
    write_model_scores(ModelScoresSettings(model=identity, parts=PARTS), own, places, folder)
    made.folders.append(folder)
    made.entries.append(ModelEntry(position=number, **identity.model_dump()))
    seeds = {name: getattr(identity, name) for name in ("mixture_seed", "ipt_seed", "sft_seed")}
    seeds = {name: seed for name, seed in seeds.items() if seed is not None}
    label = LABELS[identity.variant_key]
    named = ("", "") if is_served else ("tiny", label)
    made.answerers.append(Answerer(model, identity.variant_key, label, *named, identity.stage, seeds))
    made.scored.append(AnswerSet(Place(answers[0], scored), number, "gsm8k", 0, score=Place(keys[0], scored)))
    runs = (Judged(Place(keys[1], judged), RUNS[0]), Judged(Place(keys[2], again), RUNS[1]))
    made.judged.append(AnswerSet(Place(answers[1], judged), number, "mt_bench_ja", 0, judged=runs))
    parents = (("items", ITEMS),) if is_served else (("model", model), ("items", ITEMS))
    if not is_served:
        made.ancestry[model] = Ancestor("sft", (("mixture", MIXTURE),))
    made.ancestry |= {key: Ancestor("generate", parents) for key in answers}
    made.ancestry[keys[0]] = Ancestor("score", (("responses", answers[0]),))
    made.ancestry |= {key: Ancestor("judge", (("responses", answers[1]),)) for key in keys[1:]}


def _judge_again(judged: Path, folder: Path) -> Path:
    """A second judge run, a point lower where that can be."""
    folder.mkdir()
    rows = [json.loads(line) for line in (judged / "verdicts.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        row["score"] = max(1.0, row["score"] - 1)
        row["reply"] = f"Again. Rating: [[{row['score']:g}]]"
        row["verdict_id"] = f"f{row['verdict_id'][1:]}"
    write_lines(folder / "verdicts.jsonl", rows)
    (folder / "index.json").write_text(json.dumps({"judge": "made-up judge"}))
    return folder


def _add_pairs(made: _Made) -> None:
    """Compare the mixtures seed by seed in both judge runs, and the served model with the first one's models."""
    after = {
        (one.variant_key, one.sft_seed): place
        for place, one in enumerate(made.entries)
        if one.ipt_seed == 1 and one.stage == "after_sft"
    }
    served = len(made.entries) - 1
    wanted = [(after[MIXED, seed], after[RAW, seed], run) for seed in SFT_SEEDS for run in RUNS]
    wanted += [(served, after[MIXED, seed], 1) for seed in SFT_SEEDS]
    for number, (variant, against, run) in enumerate(wanted):
        key = f"9{number:015x}"
        # the parent with the lower key is the first, whatever a study calls the two
        is_swapped = made.judged[variant].place.key > made.judged[against].place.key
        first, second = (against, variant) if is_swapped else (variant, against)
        keys = [made.judged[place].place.key for place in (first, second)]
        folder = _write_pairs(made.root / key, number)
        made.pair_folders[key] = folder
        made.ancestry[key] = Ancestor("judge_pairs", (("responses_a", keys[0]), ("responses_b", keys[1])))
        made.pairs.append(
            PairEntry(
                position=number,
                variant=_identify(made.entries[variant]),
                against=_identify(made.entries[against]),
                is_swapped=is_swapped,
                own="variant" if variant == served else None,
                benchmark="mt_bench_ja",
                language="ja",
                generation_seed=0,
                judge_run=run,
            )
        )
        for place, other, is_second in ((first, keys[1], False), (second, keys[0], True)):
            one = made.judged[place]
            compared = (*one.compared, Compared(Place(key, folder), other, run, is_second))
            shown = AnswerSet(one.place, place, one.benchmark, one.generation_seed, None, one.judged, compared)
            made.judged[place] = shown


def _identify(entry: ModelEntry) -> ModelIdentity:
    return ModelIdentity(**entry.model_dump(exclude={"position"}))


def _write_pairs(folder: Path, number: int) -> Path:
    folder.mkdir()
    rows = [
        _compare(f"mt/{at}", turn, verdicts if turn == 1 else ("b", "b"), number)
        for at, verdicts in enumerate(VERDICTS)
        for turn in (1, 2)
    ]
    write_lines(folder / "comparisons.jsonl", rows)
    (folder / "index.json").write_text(json.dumps({"judge": "made-up judge"}))
    return folder


def _compare(item: str, turn: int, verdicts: tuple[str | None, str | None], number: int) -> dict[str, Any]:
    first, second = verdicts
    parsed, is_same = None not in verdicts, verdicts == ("tie", "tie")
    flipped = parsed and first != second
    return {
        "item": item,
        "turn": turn,
        "category": None,
        "first": first,
        "second": second,
        "outcome": None if not parsed else "tie" if flipped else first,
        "flipped": flipped,
        "flipped_to": "first" if flipped else None,
        "identical": is_same,
        "parsed": parsed,
        "replies": [] if is_same else [f"pair {number}, a first", f"pair {number}, b first"],
    }
