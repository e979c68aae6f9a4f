"""Host of stage pack."""

from pathlib import Path
from typing import Literal

from mixlab.data.packs.packing import write_pack
from mixlab.plan.specs import PackSpec, TokenizeSpec
from mixlab.stages.job import Inputs


def run(spec: PackSpec, inputs: Inputs, out: Path) -> None:
    """Write the windows of one token store; a store made with a chat template holds dialogues."""
    store = inputs.spec("tokens")
    chat = store.tokenize.chat if isinstance(store, TokenizeSpec) else None
    kind: Literal["raw", "instruction"] = "raw" if chat is None else "instruction"
    write_pack(spec.pack, inputs.one("tokens"), kind, out)
