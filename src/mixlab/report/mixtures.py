"""Mixtures as their certificates state them: what was asked for beside what was taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mixlab.report.certificate_figures import Line, list_axes, list_sources, read_total
from mixlab.report.certificate_page import show_epochs
from mixlab.report.numbers import Numbers
from mixlab.report.tables import Column, Shown, Table
from mixlab.report.text import UNKNOWN, render_plain, render_score, to_anchor

# The axes of the summary; `cells` and the sources are in the certificates' own tables.
AXES = ("instruction", "language", "category", "raw")
HEADER = (
    *("variant", "mixture_key", "certificate_digest", "seed", "axis", "part"),
    *("requested_ratio", "requested_ratio_float", "feasible_ratio", "observed_ratio", "target_ratio", "response_ratio"),
    *("unit", "requested", "population_tokens", "allocated_tokens", "target_tokens", "response_tokens"),
    *("padding_tokens", "cut_tokens", "first_document", "last_document", "windows", "repetition"),
)


@dataclass(frozen=True)
class Mixture:
    """One mixture in use: the variants it made, its key, its certificate, that one's digest, names of its sources."""

    label: str
    key: str
    digest: str
    certificate: dict[str, Any]
    names: tuple[str, ...]

    def lines(self) -> Iterator[Line]:
        """Yield the axes first, then each source, then the total."""
        yield from list_axes(self.certificate)
        yield from self.sources()
        yield read_total(self.certificate)

    def sources(self) -> Iterator[Line]:
        """Yield the sources by position."""
        yield from list_sources(self.certificate, self.names)


def build_mixture_table(numbers: Numbers) -> Table | None:
    """Mixtures by the parts of their axes, requested and observed ratio in percent; None when there are none."""
    mixtures = _list_mixtures(numbers)
    if not mixtures:
        return None
    parts = _list_parts(mixtures)
    columns = [Column("Mixture of"), Column("Ratio")]
    columns += [Column(part if axis != "raw" else f"raw {part}", "number") for axis, part in parts]
    columns += [Column("Tokens", "number"), Column("Windows", "number"), Column("Seed", "number")]
    columns += [Column("Most epochs", "number"), Column("Key", "key")]
    rows, records = [], []
    for mixture in mixtures:
        total = mixture.certificate["total"]
        ends = [total["allocated_tokens"], total["windows"], mixture.certificate["seed"]]
        for place, name in enumerate(("requested", "observed")):
            field = {"requested": "requested_ratio_float", "observed": "observed_ratio"}[name]
            values = [mixture.certificate["axes"].get(axis, {}).get(part, {}).get(field) for axis, part in parts]
            first = place == 0
            rows.append(
                [
                    Shown(mixture.label if first else ""),
                    Shown(name, tone="muted"),
                    *(Shown(render_score("accuracy", value), shade=value) for value in values),
                    *(Shown(render_plain(end) if first else "") for end in ends),
                    show_epochs(max(line.epochs for line in mixture.sources())) if first else Shown(""),
                    Shown(mixture.key if first else "", anchor=to_anchor("certificate", mixture.key) if first else ""),
                ]
            )
        records += _records(mixture)
    note = (
        "Percent: instruction of the whole budget, language and category of the instruction part, raw of the raw part. "
        f"{UNKNOWN} where a mixture has no such part."
    )
    origins = [(mixture.key,) for mixture in mixtures for _ in ("requested", "observed")]
    title = "Requested and observed ratios, %"
    return Table("mixtures", title, tuple(columns), rows, HEADER, records, note, origins=origins)


def build_certificate_tables(numbers: Numbers) -> list[Table]:
    """Each mixture's certificate in full, under an anchor of its own."""
    columns = [Column("Axis"), Column("Part"), Column("Requested", "number"), Column("Feasible", "number")]
    columns += [Column(label, "number") for label in ("Observed, %", "Of loss on all, %", "Of loss on responses, %")]
    columns += [Column(label, "number") for label in ("Allocated tokens", "Population tokens", "Windows", "Epochs")]
    tables = []
    for mixture in _list_mixtures(numbers):
        rows = []
        for line in mixture.lines():
            shares = (line.achieved, line.achieved_target, line.achieved_response)
            counts = [line.entry[name] for name in ("allocated_tokens", "population_tokens", "windows")]
            rows.append(
                [
                    Shown(line.axis),
                    Shown(line.part),
                    Shown(line.asked),
                    Shown(line.feasible or UNKNOWN),
                    *(Shown(render_score("accuracy", share)) for share in shares),
                    *(Shown(render_plain(count)) for count in counts),
                    show_epochs(line.epochs),
                ]
            )
        certificate = mixture.certificate
        note = (
            f"Key {mixture.key}; certificate sha256 {mixture.digest}; budget {render_plain(certificate['budget'])} "
            f"{certificate['unit']}; at most {certificate['max_epochs']} epochs; seed {certificate['seed']}."
        )
        title = f"Certificate of {mixture.label} ({mixture.key})"
        anchor = to_anchor("certificate", mixture.key)
        origins = [(mixture.key,)] * len(rows)
        tables.append(Table("mixtures", title, tuple(columns), rows, (), (), note, anchor, True, origins))
    return tables


def _list_mixtures(numbers: Numbers) -> list[Mixture]:
    """Mixtures in the order in which the variants are displayed, replicates by seed."""
    users: dict[str, list[str]] = {}
    for entry in numbers.lineage["cells"]:
        for one in entry["made_of"]:
            if key := one.get("mixture_key"):
                users.setdefault(key, []).append(entry["variant_key"])
    order = list(dict.fromkeys(variant.variant_key for variant in numbers.variants))
    found = []
    for key, certificate in numbers.certificates.items():
        variants = sorted(set(users[key]), key=order.index)
        label = ", ".join(numbers.label(variant) for variant in variants)
        digest = numbers.lineage["mixtures"][key]["certificate_digest"]
        mixture = Mixture(label, key, digest, certificate, numbers.source_names.get(key, ()))
        found.append((order.index(variants[0]), certificate["seed"], key, mixture))
    return [mixture for *_, mixture in sorted(found, key=lambda one: one[:3])]


def _list_parts(mixtures: list[Mixture]) -> list[tuple[str, str]]:
    """The parts of the axes, each once; the raw share is the rest of the instruction share."""
    found = {(line.axis, line.part) for mixture in mixtures for line in mixture.lines() if line.axis in AXES}
    return sorted(found - {("instruction", "raw")}, key=lambda one: (AXES.index(one[0]), one[1]))


def _records(mixture: Mixture) -> list[list[Any]]:
    certificate = mixture.certificate
    unit = certificate["unit"]
    shared = [mixture.label, mixture.key, mixture.digest, certificate["seed"]]
    records = []
    for line in mixture.lines():
        values = {**line.entry, "unit": unit}
        records.append([*shared, line.axis, line.part, *(values.get(name) for name in HEADER[6:])])
    return records
