"""The oracle's second half: models, what they are asked, and the tables; see oracle.py."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from oracle import ASKED, SCORED, Document, Made, Mixed, Oracle, full, plain, split_parts


@dataclass(frozen=True, eq=False)
class Tested:
    """A model that is evaluated: the point it stands for, its seeds as the study names them, and its place."""

    made: Made
    mixed: Mixed
    base: str
    label: str
    point: str
    seeds: tuple[int | None, ...]
    where: str


def foresee(name: str, study: Document, lock: Document) -> tuple[Oracle, Made]:
    """Return all that a study asks for, with its report at the end; `lock` is what sources.lock holds."""
    digests = {one: tuple(file["digest"] for file in card["files"]) for one, card in lock.items() if "files" in card}
    sizes = {one: sum(file["bytes"] for file in card["files"]) for one, card in lock.items() if "files" in card}
    oracle = Oracle(name, study, digests, sizes)
    return oracle, _build_report(oracle)


def expect(finished: Collection[str], after: Oracle, report: Made) -> set[tuple[str, str]]:
    """Return stage and label of all that must be made after an edit, by the identities that are finished.

    What is not finished is made, and what it is made from and reads is wanted; what is finished wants nothing.
    """
    run = list_missing(finished, after, report)
    return {(after.made[one].stage, label) for one in run for label in after.made[one].labels}


def list_missing(finished: Collection[str], after: Oracle, report: Made) -> set[str]:
    """Return the identities of all that must be made."""
    waiting, run = [report.identity], set[str]()
    while waiting:
        identity = waiting.pop()
        if identity not in finished and identity not in run:
            run.add(identity)
            made = after.made[identity]
            waiting += [*made.parents, *made.reads]
    return run


def _build_report(oracle: Oracle) -> Made:
    study = oracle.study
    models = [
        model for label in study["variants"] for base in study["base_models"] for model in _models(oracle, label, base)
    ]
    scored = {model: _scores(oracle, model) for model in models}
    points = {model.label: model.point for model in models}
    effects = study.get("effects", [])
    mixtures = sorted({model.mixed.made.identity for model in models})
    tables = sorted({one.identity for one in scored.values()})
    claims = [_claim(effect, points) for effect in effects]
    values = {
        "points": sorted({(scored[one].identity, one.point, one.seeds) for one in models}, key=repr),
        "claims": claims,
    }
    aggregate = oracle.add("aggregate", "aggregate", (*tables, *mixtures), values)
    return _add_report(oracle, aggregate, points, effects)


def _claim(effect: Document, points: dict[str, str]) -> Any:
    said = {"measure": "accuracy", "benchmarks": (), "categories": (), "languages": (), **effect}
    said |= {"variant": points[effect["variant"]], "against": points[effect["against"]]}
    return {name: one for name, one in said.items() if name != "name"}


def _models(oracle: Oracle, label: str, base_name: str) -> Iterator[Tested]:
    study, base = oracle.study, oracle.study["base_models"][base_name]
    ipt, tokenizer = study["ipt"], base["tokenizer"]
    config = {**study.get("variant_defaults", {}), **study["variants"][label]}
    pretrained = _base_model(oracle, base_name)
    layout = ipt.get("layout", "packed")
    for mixture_seed in oracle.seeds["mixture_seed"]:
        at = f"{label}/mixture_seed {mixture_seed}"
        seed = oracle.shifted(mixture_seed)
        mixed = oracle.mixture(config, tokenizer, ipt["sequence_tokens"], layout, seed, f"{at}/mixture")
        reads = oracle.note(mixed, "ipt")
        for ipt_seed in oracle.seeds["ipt_seed"]:
            where = f"{at}/ipt_seed {ipt_seed}"
            values = {"training": full("training", ipt["training"]), "seed": oracle.shifted(ipt_seed)}
            run = oracle.add("ipt", f"{where}/ipt", (pretrained.identity, mixed.made.identity), values, reads)
            said = full("average", study.get("average"))
            mean = oracle.add("average", f"{where}/average", (run.identity,), {"average": said})
            point = repr((mixed.point, pretrained.identity))
            model = Tested(mean, mixed, base_name, label, point, (mixture_seed, ipt_seed, None), f"{where}/average")
            yield model
            yield from _tuned(oracle, model, where)


def _base_model(oracle: Oracle, name: str) -> Made:
    config = oracle.study["base_models"][name]
    seed = oracle.shifted(config.get("pretrain_seed", 1))
    layout, length = config.get("layout", "packed"), config["sequence_tokens"]
    mixed = oracle.mixture(config["mixture"], config["tokenizer"], length, layout, seed, f"mixture/{name}")
    reads = oracle.note(mixed, "pretrain")
    training = full("training", config["training"])
    values = {"model": plain(config["model"]), "training": training, "seed": seed}
    parents = (mixed.made.identity, oracle.tokenizer(config["tokenizer"]).identity)
    return oracle.add("pretrain", f"pretrain/{name}", parents, values, reads)


def _tuned(oracle: Oracle, model: Tested, where: str) -> Iterator[Tested]:
    config = oracle.study["sft"]
    tokenizer = oracle.study["base_models"][model.base]["tokenizer"]
    layout, length = config.get("layout", "one_per_window"), config["sequence_tokens"]
    mixed = oracle.mixture(config["mixture"], tokenizer, length, layout, oracle.shifted(1), "mixture/sft")
    reads = oracle.note(mixed, "sft")
    for seed in oracle.seeds["sft_seed"]:
        values = {"training": full("training", config["training"]), "seed": oracle.shifted(seed)}
        at = f"{where}/sft_seed {seed}"
        made = oracle.add("sft", f"{at}/sft", (model.made.identity, mixed.made.identity), values, reads)
        yield replace(model, made=made, seeds=(*model.seeds[:2], seed), where=at)


def _scores(oracle: Oracle, model: Tested) -> Made:
    study, base = oracle.study, oracle.study["base_models"][model.base]
    tokenizer = oracle.tokenizer(base["tokenizer"]).identity
    results, judged, parts = [], [], []
    for name, use in sorted(study["benchmarks"].items()):
        declared = use.get("uses", name)
        items = oracle.source(use["data"]).identity
        for seed in oracle.seeds["generation_seed"]:
            where = f"{model.where}/{name}/generation_seed {seed}"
            values = {
                "benchmark": declared,
                "asked": {key: use[key] for key in ASKED if key in use},
                "engine": study.get("engine"),
                "chat": oracle.chat(base["tokenizer"]),
                "stop": base.get("stop", ()),
                "seed": oracle.shifted(seed),
            }
            answers = oracle.add("generate", f"{where}/generate", (model.made.identity, tokenizer, items), values)
            below = (answers.identity, items)
            if "dialogue" in declared:
                judged.append(answers.identity)
                language = declared[-2:]
                for run in oracle.seeds["judge_run"]:
                    rule = full("rule", study.get("judge", {}).get("rule"))
                    said = {"judge": rule, "language": language, "judge_run": run}
                    results.append(oracle.add("judge", f"{where}/judge_run {run}/judge", below, said).identity)
                    parts.append((name, declared, seed, run))
            else:
                scored = {key: use.get(key, absent) for key, absent in SCORED.items() if key != "samples"}
                said = {"benchmark": declared, "scored": scored}
                results.append(oracle.add("score", f"{where}/score", below, said).identity)
                parts.append((name, declared, seed, None))
    values = {"point": model.point, "seeds": model.seeds, "benchmarks": parts}
    return oracle.add("scores", f"{model.where}/scores", (*results, *judged), values)


def _add_report(oracle: Oracle, aggregate: Made, points: dict[str, str], effects: Any) -> Made:
    study = oracle.study
    kinds = split_parts(study["sources"])
    uses: dict[tuple[str, str], set[str]] = {}
    for mixed, purpose in oracle.mixed:
        for part, store in mixed.stores.items():
            uses.setdefault((part, store.identity), set()).add(purpose)
    stores = sorted((part, kinds[part], identity, sorted(how)) for (part, identity), how in uses.items())
    counts = oracle.add("counts", "counts", [one[2] for one in stores], {"stores": stores})
    parts = sorted({part for part, _ in uses})
    roots = sorted({part.partition("/")[0] for part in parts})
    shown, parents = [], [aggregate.identity, counts.identity]
    for part in parts:
        root = part.partition("/")[0]
        last, _, chain = oracle.dataset(part)
        shown.append((part, study["sources"][root]["licence"], chain, last.identity))
        parents.append(last.identity)
    parents += [oracle.contamination(root).identity for root in roots]
    parents += [oracle.source(root).identity for root in roots]
    parents += sorted({mixed.made.identity for mixed, _ in oracle.mixed})
    described = {label: study["variants"][label].get("description", "") for label in study["variants"]}
    report = study.get("report", {})
    order = [*(one for one in report.get("order", ()) if one in points), *sorted(points)]
    values = {
        "title": str(study["title"]),
        "points": [(label, points[label], described[label]) for label in sorted(points)],
        "effects": effects,
        "groups": report.get("groups", ()),
        "notes": report.get("notes", ()),
        "order": list(dict.fromkeys(order)),
        "sources": [shown, study.get("licences")],
        "benchmarks": sorted(study["benchmarks"]),
        "on_found": oracle.on_found,
        "names": sorted({(mixed.label, purpose) for mixed, purpose in oracle.mixed}),
    }
    reads: list[str] = []
    return oracle.add("report", "report", dict.fromkeys(parents), values, reads)
