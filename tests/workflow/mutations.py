"""Random edits of a study that have a meaning, and how edits are combined.

What follows from an edit is not said here: the oracle reads the edited file. Edits are valid by construction, so that
a plan that refuses one is a failure.
"""

import copy
import random
from typing import Any

from drafts import WRITING, Draft, Mutate, having, trainings


def _shares(draft: Draft, rng: random.Random) -> None:
    one = rng.choice(having(draft, "category"))
    names = list(one["category"].get("weights") or one["category"]["ratios"])
    one["category"] = {"weights": {name: rng.randint(1, 9) for name in names}}


def _instruction(draft: Draft, rng: random.Random) -> None:
    rng.choice(having(draft, "instruction"))["instruction"] = rng.choice(["0.51", "2/5", "1/3", "37 %", 0, "5/6"])


def _budget(draft: Draft, rng: random.Random) -> None:
    study = draft.study
    base = rng.choice(list(study["base_models"].values()))
    chosen = rng.choice([study["variant_defaults"], base["mixture"]])
    tokens = int(chosen["budget"]["tokens"])
    # at least as many steps as before, which warm-up and snapshots need
    chosen["budget"] = rng.choice(
        [{"tokens": tokens + rng.randint(1, 900)}, {"windows": tokens // 60 + rng.randint(1, 9)}]
    )


def _samples(draft: Draft, rng: random.Random) -> None:
    draft.study["sft"]["mixture"]["budget"]["samples"] += rng.randint(1, 9)


def _max_epochs(draft: Draft, rng: random.Random) -> None:
    draft.study["variant_defaults"]["max_epochs"] = rng.choice([9, "17/2", 12.5, "950 %"])


AXES = ("mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run")


def _add_seed(axis: str) -> Mutate:
    def add(draft: Draft, rng: random.Random) -> None:
        seeds = draft.study["seeds"].setdefault(axis, [1])
        seeds.insert(rng.randrange(len(seeds) + 1), max(seeds) + rng.randint(1, 3))

    return add


FIELDS: dict[str, Any] = {
    "optimizer.learning_rate": 0.0033,
    "optimizer.weight_decay": 0.02,
    "optimizer.betas": [0.8, 0.98],
    "optimizer.eps": 0.0001,
    "gradient_clip": 0.25,
    "global_batch_windows": 7,
    "dtype": "bfloat16",
    "schedule.warmup_steps": 3,
}
"""Fields of a training, each with a value that no study here has."""


def _set_field(field: str) -> Mutate:
    def change(draft: Draft, rng: random.Random) -> None:
        part, *path = rng.choice(trainings(draft)), *field.split(".")
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = FIELDS[field]

    return change


def _seed_removed(draft: Draft, rng: random.Random) -> None:
    many = [axis for axis, seeds in draft.study["seeds"].items() if len(seeds) > 1]
    if many:
        seeds = draft.study["seeds"][rng.choice(many)]
        seeds.pop(rng.randrange(len(seeds)))


def _learning_rate(draft: Draft, rng: random.Random) -> None:
    rng.choice(trainings(draft))["optimizer"]["learning_rate"] = rng.choice([0.0031, "1e-3", 0.005, "2.5e-3"])


def _training(draft: Draft, rng: random.Random) -> None:
    training = rng.choice(trainings(draft))
    name, value = rng.choice(
        [("global_batch_windows", 6), ("gradient_clip", 0.5), ("dtype", "bfloat16"), ("clip", None)]
    )
    if name == "clip":
        training["schedule"]["warmup_steps"] = rng.randint(3, 4)
    else:
        training[name] = value


def _passes(draft: Draft, rng: random.Random) -> None:
    draft.study["sft"]["training"]["passes"] = rng.choice([3, "3/2", 1.25])


def _average(draft: Draft, rng: random.Random) -> None:
    draft.study["average"] = rng.choice(
        [{"last": 3}, {"last": 2}, {"last": 3, "method": "ema", "decay": "1/2"}, {"last": 2, "dtype": "bfloat16"}]
    )


def _model(draft: Draft, rng: random.Random) -> None:
    model = rng.choice(list(draft.study["base_models"].values()))["model"]
    model["feed_forward"] = rng.choice([72, 80, 96])


def _pretrain_seed(draft: Draft, rng: random.Random) -> None:
    rng.choice(list(draft.study["base_models"].values()))["pretrain_seed"] = rng.randint(2, 9)


def _vocabulary(draft: Draft, rng: random.Random) -> None:
    tokenizer = rng.choice(list(draft.study["tokenizers"].values()))
    tokenizer[rng.choice(["vocab_size", "records_per_source"])] = rng.randint(401, 420)


def _tokenizer_sources(draft: Draft, rng: random.Random) -> None:
    sources = rng.choice(list(draft.study["tokenizers"].values()))["sources"]
    sources.pop(rng.randrange(len(sources)))


def _length(draft: Draft, rng: random.Random) -> None:
    part = rng.choice([draft.study["ipt"], *draft.study["base_models"].values()])
    part["sequence_tokens"] = rng.choice([80, 72])


def _sft_length(draft: Draft, rng: random.Random) -> None:
    draft.study["sft"]["sequence_tokens"] = rng.choice([104, 112])


def _layout(draft: Draft, rng: random.Random) -> None:
    draft.study["ipt"]["layout"] = "concatenated"


def _benchmark_added(draft: Draft, rng: random.Random) -> None:
    name, use = rng.choice(list(draft.study["benchmarks"].items()))
    draft.study["benchmarks"][f"again_{rng.randint(1, 9)}"] = {**use, "uses": use.get("uses", name)}


def _benchmark_removed(draft: Draft, rng: random.Random) -> None:
    judged = [name for name, use in draft.study["benchmarks"].items() if "dialogue" in use.get("uses", name)]
    if judged and len(draft.study["benchmarks"]) > len(judged):
        del draft.study["benchmarks"][rng.choice(judged)]


def _benchmark_limited(draft: Draft, rng: random.Random) -> None:
    name = rng.choice(sorted(draft.study["benchmarks"]))
    use = draft.study["benchmarks"][name]
    changes = [{"limit": rng.randint(2, 3)}, {"max_new_tokens": rng.randint(17, 30)}]
    if "dialogue" not in use.get("uses", name):
        changes += [{"samples": 4, "temperature": 0.7}, {"samples": 4, "temperature": 1, "pass_at": [2]}]
    use |= rng.choice(changes)


def _effect(draft: Draft, rng: random.Random) -> None:
    effect = rng.choice(draft.study["effects"])
    name, value = rng.choice([("name", f"a claim, {rng.random()}"), ("at_least", "3/100"), ("at_least", "2.5 %")])
    effect[name] = value


def _effect_removed(draft: Draft, rng: random.Random) -> None:
    draft.study["effects"].pop(rng.randrange(len(draft.study["effects"])))
    if not draft.study["effects"]:
        del draft.study["effects"]


def _words(draft: Draft, rng: random.Random) -> None:
    study, text = draft.study, f"words {rng.random()}"
    where = rng.choice(["title", "notes", "description"])
    if where == "title":
        study["title"] = text
    elif where == "notes":
        study.setdefault("report", {})["notes"] = [text]
    else:
        rng.choice(list(study["variants"].values()))["description"] = text


def _licence(draft: Draft, rng: random.Random) -> None:
    name = rng.choice(sorted(draft.study["sources"]))
    draft.study["sources"][name]["licence"] = "PDDL-1.0"


def _world(draft: Draft, rng: random.Random) -> None:
    made = [one["origin"] for one in draft.study["sources"].values() if one["origin"]["type"] == "generator"]
    origin = rng.choice(made)
    what = rng.choice(["size", "seed", "world_seed"])
    if what == "world_seed":
        origin["options"]["world_seed"] += rng.randint(1, 5)
    else:
        origin[what] = origin.get(what, 0) + rng.randint(1, 3)


def _study_seed(draft: Draft, rng: random.Random) -> None:
    draft.study["study_seed"] = rng.randint(1, 9)


def _filters(draft: Draft, rng: random.Random) -> None:
    tokenizer = next(iter(draft.study["tokenizers"]))
    chosen = rng.choice(
        [
            {"type": "personal_data"},
            {"type": "near_duplicates", "threshold": rng.choice(["9/10", 0.85])},
            {"type": "length", "tokenizer": tokenizer, "min_tokens": 2},
        ]
    )
    draft.study["filters"].insert(rng.randint(0, 1), chosen)


def _own_filters(draft: Draft, rng: random.Random) -> None:
    used = draft.study["variant_defaults"]["sources"]
    draft.study["sources"][rng.choice(used)]["filters"] = rng.choice(
        [[], [{"type": "exact_duplicates", "ignore_case": True}]]
    )


def _contamination(draft: Draft, rng: random.Random) -> None:
    key, value = rng.choice([("words", 12), ("common_items", 4), ("on_found", "drop"), ("least_share", "1/5")])
    draft.study.setdefault("contamination", {})[key] = value


def _labeller(draft: Draft, rng: random.Random) -> None:
    labeller = rng.choice(list(draft.study["labellers"].values()))
    labeller["shown"] = rng.choice([{"turns": "all"}, {"turns": "user"}, {"max_characters": 3000}])


def _chat(draft: Draft, rng: random.Random) -> None:
    where = rng.choice([draft.study, *draft.study["tokenizers"].values()])
    where["chat"] = {rng.choice(["user_suffix", "system_suffix"]): rng.choice(["\n", "<|end|>"])}


def _variant_added(draft: Draft, rng: random.Random) -> None:
    variants = draft.study["variants"]
    more = {**copy.deepcopy(rng.choice(list(variants.values()))), "instruction": rng.choice(["11/20", "0.45", "1/2"])}
    variants[f"more {rng.randint(1, 9)}"] = more


def _variant_removed(draft: Draft, rng: random.Random) -> None:
    variants = draft.study["variants"]
    claimed = {one[side] for one in draft.study.get("effects", ()) for side in ("variant", "against")}
    free = [label for label in variants if label not in claimed]
    if free and len(variants) > 2:
        label = rng.choice(free)
        del variants[label]
        order = draft.study.get("report", {}).get("order", [])
        order[:] = [one for one in order if one != label]


def _variant_renamed(draft: Draft, rng: random.Random) -> None:
    variants, new = draft.study["variants"], f"called {rng.randint(10, 99)}"
    old = rng.choice(list(variants))
    draft.study["variants"] = {new if label == old else label: one for label, one in variants.items()}
    for effect in draft.study.get("effects", ()):
        for side in ("variant", "against"):
            effect[side] = new if effect[side] == old else effect[side]
    order = draft.study.get("report", {}).get("order", [])
    order[:] = [new if one == old else one for one in order]


def _raw(draft: Draft, rng: random.Random) -> None:
    sources, variant = draft.study["sources"], rng.choice(list(draft.study["variants"].values()))
    used = draft.study["variant_defaults"]["sources"]
    raw = [name for name in used if sources[name]["kind"] == "raw"]
    kind = rng.choice(["factors", "ratios"])
    variant["raw"] = (
        {"factors": {rng.choice(raw): rng.choice([2, "3/2", 1])}}
        if kind == "factors"
        else {"ratios": dict(zip(raw, rng.choice([("0.3", "70 %"), ("1/3", "2/3")]), strict=True))}
    )


def _phase(draft: Draft, rng: random.Random) -> None:
    variant = rng.choice(list(draft.study["variants"].values()))
    begin = rng.choice(["3/4", 0.5, "60 %"])
    variant["phases"] = [{"from_share": begin, "instruction": rng.choice(["2/3", "10 %", "0.45"])}]


def _judge(draft: Draft, rng: random.Random) -> None:
    draft.study["judge"] = {"rule": rng.choice([{"same_number": 0.7}, {"language_penalty": 2}])}


def _content(draft: Draft, rng: random.Random) -> None:
    files = [name for name in sorted(draft.study["sources"]) if name in draft.lock]
    if files:
        file = draft.lock[rng.choice(files)]["files"][0]
        file["digest"], file["bytes"] = rng.randbytes(32).hex(), file["bytes"] + rng.randint(0, 40)


def _source_renamed(draft: Draft, rng: random.Random) -> None:
    old = rng.choice(sorted(draft.study["sources"]))
    new = f"src_{rng.randint(10, 99)}"

    def rename(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            keys = {new if one == old and key in ("sources", "ratios", "factors") else one: one for one in value}
            return {name: rename(value[one], one) for name, one in keys.items()}
        if isinstance(value, list):
            return [rename(one, key) for one in value]
        return new if value == old and key in ("sources", "data") else value

    draft.study = rename(draft.study)
    if old in draft.lock:
        draft.lock[new] = draft.lock.pop(old)


MEANING = (
    _shares, _instruction, _budget, _samples, _max_epochs, _seed_removed, _learning_rate, _training,
    _passes,
    _average, _model, _pretrain_seed, _vocabulary, _tokenizer_sources, _length, _sft_length, _layout, _benchmark_added,
    _benchmark_removed, _benchmark_limited, _effect, _effect_removed, _words, _licence, _world, _study_seed, _filters,
    _own_filters, _contamination, _labeller, _chat, _variant_added, _variant_removed, _variant_renamed, _raw, _phase,
    _judge, _content, _source_renamed,
)  # fmt: skip
"""Edits that change what a study says."""


ADDED = {f"{axis} added": _add_seed(axis) for axis in AXES}
CHANGED = {f"{field} changed": _set_field(field) for field in FIELDS}
BY_NAME: dict[str, Mutate] = {
    **{mutate.__name__.strip("_"): mutate for mutate in (*MEANING, *WRITING)},
    **ADDED,
    **CHANGED,
}
"""Every kind of edit; of seeds and of a training's fields each is a kind of its own, so that none is left to chance."""
WITHOUT_MEANING = frozenset(mutate.__name__.strip("_") for mutate in WRITING)


def draw(number: int, rng: random.Random) -> tuple[str, ...]:
    """Choose a random edit: each kind alone, twice; then two or three together, a third of them without any meaning."""
    names = list(BY_NAME)
    if number < 2 * len(names):
        return (names[number % len(names)],)
    some = sorted(WITHOUT_MEANING) if rng.random() < 1 / 3 else names
    return tuple(sorted(rng.sample(some, rng.randint(2, 3)), key=names.index))


def edit(draft: Draft, names: tuple[str, ...], seed: str) -> None:
    """Make an edit; each part draws from a seed of its own, so that it stays the same when another is left out."""
    for name in names:
        mutate: Mutate = BY_NAME[name]
        mutate(draft, random.Random(f"{seed} {name}"))
