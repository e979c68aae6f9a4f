"""A study small enough to be computed by hand: score folders of models, written as the stages write them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.analysis.tidy import ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import ModelEntry, ModelIdentity, ModelScoresSettings, ScoredPart

CERTIFICATE = b'{"seed": 0, "sources": [{"name": "math_en", "allocated_tokens": 100}]}\n'


@pytest.fixture
def write_part(tmp_path: Path) -> Callable[..., Path]:
    """Write the artifact of a scorer (`scores`) or a judge (`verdicts`) and return its folder."""

    def write(name: str, records: list[dict], kind: str = "scores", **index: object) -> Path:
        folder = tmp_path / "parts" / name
        folder.mkdir(parents=True)
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{kind}.jsonl").write_text(lines)
        (folder / "index.json").write_text(json.dumps({"unsolvable": [], **index}))
        return folder

    return write


@pytest.fixture
def write_model(tmp_path: Path, write_part: Callable[..., Path]) -> Callable[..., tuple[ModelIdentity, Path]]:
    """Write the tidy scores of a model that answered `benchmark` with these scores; return what it is and where."""

    def write(variant: str, scores: list[float], benchmark: str = "gsm8k", **seeds: int) -> tuple[ModelIdentity, Path]:
        stage = "after_sft" if "sft_seed" in seeds else "before_sft"
        identity = ModelIdentity(stage=stage, variant_key=variant, base_model_key="base", **seeds)
        name = "-".join([variant, stage, *map(str, seeds.values())])
        records = [{"item": str(number), "score": score, "parsed": True} for number, score in enumerate(scores)]
        folder = write_part(name, records, unsolvable=[{"item": "0", "reason": "not valid Python"}])
        part = ScoredPart(benchmark=benchmark, measure="accuracy", language="en", category="math")
        out = tmp_path / "models" / name
        out.mkdir(parents=True)
        write_model_scores(
            ModelScoresSettings(model=identity, parts=(part,)),
            ModelKeys(model_key=f"model-{name}", mixture_key=f"mixture-{variant}"),
            [PartFolder(folder, score_key=f"score-{name}", generate_key=f"generate-{name}")],
            out,
        )
        return identity, out

    return write


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, Path]:
    """Mixture artifacts of the variants `rich` and `poor`, by key."""
    folders = {f"mixture-{variant}": tmp_path / "mixtures" / variant for variant in ("rich", "poor")}
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / "certificate.json").write_bytes(CERTIFICATE)
    return folders


@pytest.fixture
def entries() -> Callable[..., tuple[ModelEntry, ...]]:
    """Turn identities into the entries of an aggregate, in the order given."""

    def build(identities: list[ModelIdentity]) -> tuple[ModelEntry, ...]:
        return tuple(ModelEntry(position=place, **one.model_dump()) for place, one in enumerate(identities))

    return build
