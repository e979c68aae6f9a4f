"""What docs/cluster.md says of resources: the settings it shows can be read, and do what the text around them says."""

from pathlib import Path

import yaml
from docs_blocks import REPOSITORY, read_blocks

from mixlab.config.machine import MachineSettings
from mixlab.config.studies import load_main_config

DOCUMENT = REPOSITORY / "docs/cluster.md"


def read_shown(folder: Path) -> MachineSettings:
    """Read the document's config.yaml as mixlab does."""
    (shown,) = [block.text for block in read_blocks(DOCUMENT) if block.language == "yaml"]
    (folder / "config.yaml").write_text(f"study: micro\n{shown}")
    return load_main_config(folder).machine


def test_the_table_of_sizes_can_be_read_and_grows_with_the_model(tmp_path: Path) -> None:
    machine = read_shown(tmp_path)
    sizes = [1_800_000_000, 8_000_000_000, 70_000_000_000]
    asked = [machine.resources("ipt", size) for size in sizes]
    assert [one.launch.nodes * one.gpus for one in asked] == [8, 16, 128]
    assert [one.launch.ranks for one in asked] == [8, 16, 128]
    assert [one.launch.parallelism for one in asked] == ["ddp", "zero2", "zero3"]
    assert {one.retries for one in asked} == {20}
    weights = [machine.resources("average", size).memory_mib * 2**20 for size in sizes]
    # an average holds a model in float32, and a second one while it adds
    assert all(memory > 8 * size for memory, size in zip(weights, sizes, strict=True))
    assert machine.cluster.cpu_partition == "cpu"


def test_the_numbers_of_groups_are_those_of_the_profile() -> None:
    profile = yaml.safe_load((REPOSITORY / "profiles/slurm/config.yaml").read_text())
    together: dict[str, set[str]] = {}
    for rule, group in profile["groups"].items():
        together.setdefault(group, set()).add(rule)
    text = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    components = profile["group-components"]
    numbers = [components[group] for group in ("packs", "mixtures", "evaluation")]
    shown = (
        "packs ({} at a time), mixtures ({}), score, judge and scores "
        "(of the models of one job of generate together, {} such at a time)"
    )
    assert f"{shown.format(*numbers)}, and counts, aggregate and report" in text
    assert together["evaluation"] == {"score", "judge", "scores"}
    assert together["report"] == {"counts", "aggregate", "report"}
