"""Where the numbers come from: items no model can solve, keys of every score, and what each key was made from."""

from mixlab.report.numbers import Numbers
from mixlab.report.tables import Column, Shown, Table
from mixlab.report.text import STAGES, UNKNOWN, render_plain, to_anchor

SEEDS = ("mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run")
KEYS = ("base_model_key", "mixture_key", "model_key", "generate_key", "score_key")


def build_unsolvable_table(numbers: Numbers) -> Table | None:
    """Items that no model can solve, with the scorer's reason; None when there are none."""
    if not numbers.unsolvable:
        return None
    header = ["benchmark", "item", "reason"]
    records = [[row[name] for name in header] for row in numbers.unsolvable]
    columns = (Column("Benchmark"), Column("Item"), Column("Reason"))
    rows = [[Shown(value) for value in record] for record in records]
    note = "They are asked and counted as wrong in every mean above."
    return Table("unsolvable", "Items no model can solve", columns, rows, header, records, note)


def build_lineage_tables(numbers: Numbers) -> list[Table]:
    """For each variant, one row per model and score with every seed and key; they carry the page's lineage anchors."""
    tables = []
    used = [
        name for name in SEEDS if any(name in one for entry in numbers.lineage["cells"] for one in entry["made_of"])
    ]
    columns = [Column("Stage"), Column("Benchmark"), *(Column(name.replace("_", " "), "number") for name in used)]
    columns += [Column(name.removesuffix("_key").replace("_", " "), "key") for name in KEYS]
    for key in dict.fromkeys(variant.variant_key for variant in numbers.variants):
        rows, records = [], []
        entries = [entry for entry in numbers.lineage["cells"] if entry["variant_key"] == key]
        for entry in sorted(entries, key=lambda entry: entry["stage"] != "before_sft"):
            for one in entry["made_of"]:
                seeds = [Shown(render_plain(one.get(name))) for name in used]
                keys = [_show_key(numbers, one.get(name)) for name in KEYS]
                rows.append([Shown(STAGES[entry["stage"]]), Shown(entry["benchmark"]), *seeds, *keys])
                record = [numbers.label(key), entry["stage"], entry["benchmark"], entry["measure"]]
                records.append([*record, *(one.get(name) for name in (*SEEDS, *KEYS)), key])
        header = ["variant", "stage", "benchmark", "measure", *SEEDS, *KEYS, "variant_key"]
        title, anchor = f"{numbers.label(key)} ({key})", to_anchor("lineage", key)
        tables.append(Table("lineage", title, tuple(columns), rows, header, records, anchor=anchor, folded=True))
    return tables


def build_ancestry_table(numbers: Numbers) -> Table | None:
    """Every key behind the numbers with the keys it was made from, down to the digests of the data; None if unknown."""
    ancestry = numbers.lineage["ancestry"]
    if not ancestry:
        return None
    rows, records = [], []
    for key, one in sorted(ancestry.items(), key=lambda entry: (entry[1]["stage"], entry[0])):
        facts = "; ".join(f"{name} {value}" for name, value in one["facts"])
        parents = one["parents"] or [["", ""]]
        for place, (role, parent) in enumerate(parents):
            certificate = to_anchor("certificate", key) if key in numbers.certificates else ""
            first = [Shown(one["stage"]), Shown(key, anchor=certificate, anchored=to_anchor("key", key))]
            first = first if place == 0 else [Shown(""), Shown("")]
            rows.append([*first, Shown(role), _show_key(numbers, parent), Shown(facts if place == 0 else "")])
            records.append([one["stage"], key, role, parent, facts])
    columns = (Column("Stage"), Column("Key", "key"), Column("Role"), Column("Made from", "key"), Column("Data", "key"))
    header = ["stage", "key", "role", "parent", "facts"]
    return Table("ancestry", "What each key was made from", columns, rows, header, records, folded=True)


def _show_key(numbers: Numbers, key: str | None) -> Shown:
    """Lead to what the key was made from, else to its certificate, else nowhere."""
    if not key:
        return Shown(UNKNOWN, tone="muted")
    for name in (key, key.partition(":")[0]):
        if name in numbers.lineage["ancestry"]:
            return Shown(key, anchor=to_anchor("key", name))
        if name in numbers.certificates:
            return Shown(key, anchor=to_anchor("certificate", name))
    return Shown(key)
