"""An oracle of identity: what a study is made of, from its YAML and a table of which field reaches which stage.

Nothing of mixlab is imported. Written by reasoning from docs/edit-table.md and docs/architecture.md, it reads a study
as plain YAML, puts values that mean the same into one form, and gives every artifact an identity: its stage, the values
that REACHES lists for it, and the identities of its parents. Two studies share an artifact where they share its
identity. It knows what the studies micro and demo use, and refuses a field that it does not know.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import wraps
from typing import Any

Document = Mapping[str, Any]

REACHES: Mapping[str, frozenset[str]] = {
    stage: frozenset(fields.split())
    for stage, fields in {
        "source": "kind on_bad_record origin digests",
        "contamination": "contamination",
        "label": "labeller",
        "filter": "filter",
        "tokenizer": "tokenizer",
        "tokenize_shard": "chat number of",
        "tokenize": "chat",
        "pack": "sequence_tokens layout",
        "mixture": "parts axes phases budget max_epochs on_empty_cell seed",
        "counts": "stores",
        "pretrain": "model training seed",
        "ipt": "training seed",
        "average": "average",
        "sft": "training seed",
        "generate": "benchmark asked engine chat stop seed",
        "score": "benchmark scored",
        "judge": "judge language judge_run",
        "scores": "point seeds benchmarks",
        "aggregate": "points claims",
        "report": "title points effects groups notes order sources benchmarks on_found names",
    }.items()
}
"""Which values decide the bytes of a stage beside its parents; a value that is not listed reaches nothing."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "source": {"on_bad_record": "fail"},
    "origin": {"seed": 0},
    "contamination": {
        "words": 13,
        "characters": 15,
        "shortest_words": 8,
        "shortest_characters": 10,
        "least_share": Fraction(3, 20),
        "common_items": 3,
    },
    "exact_duplicates": {"ignore_case": False},
    "personal_data": {"on_found": "flag", "at_least": 1},
    "shown": {"turns": "first", "max_characters": 4000},
    "tokenizer": {"algorithm": "byte_bpe", "individual_digits": True, "split_scripts": True, "different_words": 250000},
    "chat": {
        "system_prefix": "<|system|>",
        "system_suffix": "",
        "user_prefix": "<|user|>",
        "user_suffix": "",
        "assistant_prefix": "<|assistant|>",
        "assistant_suffix": "<|end|>",
    },
    "training": {"passes": 1, "order": "shuffled", "loss": "all", "gradient_clip": 1, "dtype": "float32"},
    "average": {"method": "uniform", "last": 10, "accumulate": "float32", "dtype": "float32"},
    "rule": {"same_number": Fraction(4, 5), "full_characters": 200, "language_penalty": 3},
    "seeds": dict.fromkeys(("mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run"), (1,)),
}
"""What is meant where nothing is said."""

SCORED = {"samples": 1, "pass_at": (), "majority": False}
ASKED = ("limit", "samples", "temperature", "max_new_tokens")
SEED_STEP = 100_000


@dataclass(frozen=True)
class Made:
    """One artifact: its stage and identity, and the identities of what it is made from and what it reads."""

    stage: str
    identity: str
    parents: tuple[str, ...]
    reads: tuple[str, ...]
    labels: list[str] = field(default_factory=list, compare=False)


def plain(value: Any) -> Any:
    """Put numbers into one form: 0.5, 1/2 and 50 % are one; lists and mappings become tuples."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return Fraction(str(value))
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), plain(item)) for name, item in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    text = str(value).strip()
    if re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?\s*%", text, re.I):
        return Fraction(text.rstrip("% ")) / 100
    if re.fullmatch(r"[+-]?(\d+\s*/\s*\d+|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)", text, re.I):
        return Fraction(text.replace(" ", ""))
    return value


def full(kind: str, value: Document | None) -> Any:
    """Return a section with what its silence means."""
    return plain({**DEFAULTS[kind], **(value or {})})


def normalise(shares: Any) -> Any:
    """Return the shares of an axis as fractions that sum to 1, zeros dropped; `natural` where none are given."""
    if shares is None or isinstance(shares, str):
        return "natural"
    given = {name: plain(one) for name, one in (shares.get("weights") or shares["ratios"]).items()}
    whole = sum(given.values())
    return {name: one / whole for name, one in given.items() if one}


@dataclass(frozen=True, eq=False)
class Mixed:
    """A mixture, the packs and stores behind it by part, and its identity whatever its seed."""

    made: Made
    packs: dict[str, Made]
    stores: dict[str, Made]
    point: str
    label: str


def once(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method answer a question once."""

    @wraps(method)
    def ask(self: "Oracle", *question: Any) -> Any:
        asked = (method.__name__, *question)
        if asked not in self.answers:
            self.answers[asked] = method(self, *question)
        return self.answers[asked]

    return ask


class Oracle:
    """All artifacts of a study by identity; `digests` and `sizes` say what the lock holds of a source's files."""

    def __init__(self, name: str, study: Document, digests: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int]):
        self.name, self.study, self.digests, self.sizes = name, study, digests, sizes
        self.made: dict[str, Made] = {}
        self.answers: dict[tuple[Any, ...], Any] = {}
        self.mixed: list[tuple[Mixed, str]] = []
        self.seeds = {**DEFAULTS["seeds"], **study.get("seeds", {})}

    def add(self, stage: str, label: str, parents: Iterable[str], values: Document, reads: Iterable[str] = ()) -> Made:
        """Give an artifact its identity; raises KeyError for a value that the table does not list."""
        if set(values) != REACHES[stage]:
            raise KeyError(f"{stage}: {sorted(set(values) ^ REACHES[stage])} are not what the table says")
        above = tuple(parents)
        said = repr((stage, [(name, plain(values[name])) for name in sorted(values)], above))
        identity = hashlib.sha256(said.encode()).hexdigest()
        made = self.made.setdefault(identity, Made(stage, identity, above, tuple(reads)))
        if f"{self.name}/{label}" not in made.labels:
            made.labels.append(f"{self.name}/{label}")
        return made

    def shifted(self, seed: int) -> int:
        """Return a seed in the study's own world."""
        return int(plain(seed)) + SEED_STEP * self.study.get("study_seed", 0)

    @once
    def source(self, name: str) -> Made:
        """A source's records: places, names, licence, language and category are not what it is made of."""
        config = self.study["sources"][name]
        origin = {key: value for key, value in config["origin"].items() if key not in ("root", "paths")}
        if origin["type"] == "generator":
            options = origin.get("options", {})
            origin = {**DEFAULTS["origin"], **origin}
            origin["seed"] = self.shifted(origin["seed"])
            origin["options"] = {**options, "world_seed": self.shifted(options.get("world_seed", 0))}
        kind, bad = config["kind"], config.get("on_bad_record", "fail")
        values = {"kind": kind, "on_bad_record": bad, "origin": origin, "digests": self.digests.get(name, ())}
        return self.add("source", f"source/{name}", (), values)

    @once
    def contamination(self, name: str) -> Made:
        """The search of a source for the items of all benchmarks."""
        items = sorted({self.source(use["data"]).identity for use in self.study["benchmarks"].values()})
        config = {key: one for key, one in self.study.get("contamination", {}).items() if key != "on_found"}
        values = {"contamination": full("contamination", config)}
        return self.add("contamination", f"contamination/{name}", (self.source(name).identity, *items), values)

    @property
    def on_found(self) -> str:
        """What becomes of contaminated records."""
        return str(self.study.get("contamination", {}).get("on_found", "warn"))

    @once
    def dataset(self, part: str) -> tuple[Made, tuple[str, ...], list[str]]:
        """The last of a chain of filters, what one that works on it reads beside it, and the names of the filters."""
        name, _, category = part.partition("/")
        root = self.source(name)
        last, chain = root, []
        own = self.study["sources"][name].get("filters")
        for number, config in enumerate(self.study.get("filters", ()) if own is None else own, 1):
            kind = config["type"]
            beside = [self.tokenizer(config["tokenizer"]).identity] if kind == "length" else []
            settings = {key: one for key, one in config.items() if key != "tokenizer"}
            said = full(kind, settings) if kind in DEFAULTS else plain(settings)
            last = self._filter(last, root, beside, said, f"{name}/{number} {kind}")
            chain.append(kind)
        if self.on_found != "warn":
            beside = [self.contamination(name).identity]
            last = self._filter(last, root, beside, ("contamination", self.on_found), f"{name}/contamination")
            chain.append("contamination")
        if category:
            beside = [self.labels(name, last, root).identity]
            last = self._filter(last, root, beside, ("label", category), f"{name}/label {category}")
            chain.append(f"label {category}")
        return last, () if last is root else (root.identity,), chain

    def _filter(self, last: Made, root: Made, beside: list[str], said: Any, label: str) -> Made:
        reads = () if last is root else (root.identity,)
        return self.add("filter", f"filter/{label}", (last.identity, *beside), {"filter": said}, reads)

    def labels(self, name: str, last: Made, root: Made) -> Made:
        """The categories of a source's records."""
        config = self.study["labellers"][self.study["sources"][name]["labeller"]]
        said = (plain(config["engine"]), full("shown", config.get("shown")))
        reads = () if last is root else (root.identity,)
        return self.add("label", f"label/{name}", (last.identity,), {"labeller": said}, reads)

    @once
    def tokenizer(self, name: str) -> Made:
        """A tokenizer that is trained; the order of its sources means nothing, and its chat template is not its own."""
        config = self.study["tokenizers"][name]
        parents = sorted({self.source(one).identity for one in config["sources"]})
        said = {key: one for key, one in config.items() if key not in ("sources", "chat")}
        return self.add("tokenizer", f"tokenizer/{name}", parents, {"tokenizer": full("tokenizer", said)})

    @once
    def chat(self, tokenizer: str) -> Any:
        """The chat template of models with a tokenizer."""
        return full("chat", self.study["tokenizers"][tokenizer].get("chat") or self.study.get("chat"))

    @once
    def pack(self, part: str, tokenizer: str, length: int, layout: str) -> tuple[Made, Made]:
        """The windows and the token store of a part; how many shards make the store decides nothing of it."""
        name = part.partition("/")[0]
        last, reads, _ = self.dataset(part)
        chat = self.chat(tokenizer) if self.study["sources"][name]["kind"] == "instruction" else None
        parents = (last.identity, self.tokenizer(tokenizer).identity)
        where = f"tokenize/{tokenizer}/{part}"
        limit = read_bytes(self.study.get("tokens", {}).get("shard_bytes", "4 GiB"))
        count = max(1, -(-self.sizes.get(name, 0) // limit))
        shards = []
        for number in range(count if count > 1 else 0):
            values = {"chat": chat, "number": number, "of": count}
            label = f"{where}/shard {number + 1} of {count}"
            shards.append(self.add("tokenize_shard", label, parents, values, reads).identity)
        store = self.add("tokenize", where, parents, {"chat": chat}, (*reads, *shards))
        label = f"pack/{tokenizer}/{part}/{layout} {int(plain(length))}"
        values = {"sequence_tokens": length, "layout": layout}
        return self.add("pack", label, (store.identity,), values), store

    def mixture(self, config: Document, tokenizer: str, length: int, layout: str, seed: int, label: str) -> Mixed:
        """A mixture: only parts that can have a share belong to it, by what they are and not by their names."""
        kinds = split_parts(self.study["sources"])
        names = [one for name in config["sources"] for one in ([name] if name in kinds else parts_of(name, kinds))]
        axes = [read_axes(config)]
        axes += [read_axes({**config, **{key: one for key, one in phase.items() if one is not None}})
                 for phase in config.get("phases", ())]  # fmt: skip
        used = [name for name in names if any(feeds(one, name, kinds[name]) for one in axes)]
        behind = {name: self.pack(name, tokenizer, length, layout) for name in used}
        packs, stores = ({name: pair[at] for name, pair in behind.items()} for at in (0, 1))
        identities = {name: pack.identity for name, pack in packs.items()}
        values = {
            "parts": sorted((identities[name], *kinds[name]) for name in used),
            "axes": settle_axes(axes[0], identities),
            "phases": [
                (phase["from_share"], settle_axes(one, identities))
                for phase, one in zip(config.get("phases", ()), axes[1:], strict=True)
            ],
            "budget": config["budget"],
            "max_epochs": config.get("max_epochs", 1),
            "on_empty_cell": config.get("on_empty_cell", "error"),
        }
        parents = sorted(identities.values())
        made = self.add("mixture", label, parents, {**values, "seed": seed})
        return Mixed(made, packs, stores, repr(plain(values)), label)

    def note(self, mixed: Mixed, purpose: str) -> tuple[str, ...]:
        """Remember what a mixture is used for; return what its trainer reads beside it."""
        self.mixed.append((mixed, purpose))
        return tuple(one.identity for one in (*mixed.packs.values(), *mixed.stores.values()))


def read_axes(config: Document) -> dict[str, Any]:
    """The shares of a mixture's axes; a part without a share has no axes of its own."""
    share = plain(config.get("instruction", "natural"))
    raw = config.get("raw")
    axes = {"instruction": share, "language": normalise(config.get("language"))}
    axes["category"] = normalise(config.get("category"))
    if isinstance(raw, Mapping) and raw.get("factors") is not None:
        axes["raw"] = "natural"
        axes["factors"] = {name: plain(one) for name, one in raw["factors"].items()}
    else:
        axes["raw"], axes["factors"] = normalise(raw), {}
    if share == 0:
        axes["language"] = axes["category"] = "natural"
    return axes


def settle_axes(axes: Document, identities: Mapping[str, str]) -> Any:
    """The same, with sources by what they are; a factor of 1 says nothing, nor does a composition without a share."""
    raw, factors = axes["raw"], {name: one for name, one in axes["factors"].items() if one != 1 and name in identities}
    if axes["instruction"] == 1:
        raw, factors = "natural", {}
    if raw != "natural":
        raw = {identities[name]: share for name, share in raw.items()}
    return plain({**axes, "raw": raw, "factors": {identities[name]: one for name, one in factors.items()}})


def feeds(axes: Document, name: str, kind: tuple[str, str, str | None]) -> bool:
    """Whether a part can have a share."""
    what, language, category = kind
    if what == "raw":
        named = axes["raw"] == "natural" or name in axes["raw"]
        return axes["instruction"] != 1 and named and axes["factors"].get(name) != 0
    chosen = ((axes["language"], language), (axes["category"], category))
    return axes["instruction"] != 0 and all(axis == "natural" or label in axis for axis, label in chosen)


def split_parts(sources: Document) -> dict[str, tuple[str, str, str | None]]:
    """Kind, language and category of every part; a source to be labelled counts as four."""
    parts: dict[str, tuple[str, str, str | None]] = {}
    for name, one in sources.items():
        if one["kind"] == "benchmark":
            continue
        if one.get("category") == "to_be_labelled":
            parts |= {
                f"{name}/{c}": (one["kind"], one["language"], c) for c in ("code", "general", "math", "reasoning")
            }
        else:
            parts[name] = (one["kind"], one["language"], one.get("category"))
    return parts


def parts_of(name: str, kinds: Iterable[str]) -> list[str]:
    """The parts that a labelled source stands for."""
    return [part for part in kinds if part.startswith(f"{name}/")]


def read_bytes(size: Any) -> int:
    """Read `10 kB` or `4 GiB`."""
    number, unit = re.fullmatch(r"\s*([\d.]+)\s*(\w*)\s*", str(size)).groups()  # type: ignore[union-attr]
    factor = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]
    return int(Fraction(number) * factor)
