"""How much of the micro study lies below an edit: numbers of artifacts by stage, and patterns of their labels."""

EVALUATION_OF_ONE = {"generate": 2, "score": 1, "judge": 2, "scores": 1}
TABLES = {"aggregate": 1, "report": 1}
OF_ONE_VARIANT = {"average": 1, "sft": 2, **{stage: 3 * n for stage, n in EVALUATION_OF_ONE.items()}, **TABLES}
OF_ONE_RATIO = {"mixture": 1, "ipt": 1, **OF_ONE_VARIANT}
"""Below one variant's mixture (docs/edit-table.md)."""
OF_BOTH = {stage: n if stage in TABLES else 2 * n for stage, n in OF_ONE_VARIANT.items()}
TABLES_ONLY = r"^micro/(aggregate|report)$"


def stores(number: int) -> dict[str, int]:
    """Count what is made of so many sources' tokens: one token store for each."""
    return {"tokenize": number}


BELOW_MATH = {"tokenize_shard": 2, **stores(1), "pack": 2, "mixture": 3, "counts": 1, "ipt": 2, **OF_BOTH}
"""Below the records of math_file: both variants draw from it, and SFT."""
BELOW_LABELS = {"filter": 2, **stores(2), "pack": 2, "mixture": 2, "counts": 1, "ipt": 2, **OF_BOTH}
"""Below the labels of reasoning_ja: two of its four parts have a share in both variants."""
BELOW_ALL = {
    "tokenize_shard": 4,
    **stores(5),
    "pack": 6,
    "mixture": 4,
    "counts": 1,
    "pretrain": 1,
    "ipt": 2,
    **OF_BOTH,
}
"""Below the records of all sources, or the tokenizer."""

OF_VARIANTS = r"^micro/(even|math heavy 数学)/"
DATA_TABLES_ONLY = r"^micro/(counts|aggregate|report)$"
MATH_ONLY = f"math_file|{OF_VARIANTS}|^micro/mixture/sft$|{DATA_TABLES_ONLY}"
LABELS_ONLY = f"reasoning_ja|{OF_VARIANTS}|{DATA_TABLES_ONLY}"
