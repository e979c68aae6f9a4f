"""What is behind a mixture: its packs, their token stores, the tokenizer of all, and names for its sources."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mixlab.plan.graph import Node, Plan


@dataclass(frozen=True)
class Behind:
    """A mixture and what is behind it, in the order of its sources."""

    mixture: Node
    packs: Sequence[Node]
    stores: Sequence[Node]
    tokenizer: Node


def find_behind(plan: Plan, mixture: Node) -> Behind:
    """Follow a mixture to its packs, their token stores and the one tokenizer of all."""
    packs = [plan.nodes[key] for key in mixture.parents["packs"]]
    stores = [plan.nodes[pack.parents["tokens"][0]] for pack in packs]
    return Behind(mixture, packs, stores, plan.nodes[stores[0].parents["tokenizer"][0]])


def name_parts(packs: Sequence[Node]) -> list[str]:
    """Name the sources behind packs as files: no white space, no two alike."""
    names: list[str] = []
    for pack in packs:
        # STUDY/pack/TOKENIZER/SOURCE/LAYOUT; a labelled source has a further part
        name = re.sub(r"[^\w.-]+", "_", "_".join(pack.label.split("/")[3:-1]))
        names.append(name if name not in names else f"{name}_{pack.key}")
    return names
