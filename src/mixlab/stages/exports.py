"""A mixture as files for a trainer that is not ours: what `mixlab export` and the hosts of training share."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from mixlab.data.exports.export import Exported, Part, export_blend, export_windows
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.data.writing import read_json
from mixlab.plan.behind import Behind, name_parts
from mixlab.plan.graph import Node
from mixlab.plan.specs import PackSpec

Form = Literal["windows", "megatron"]


def write_export(behind: Behind, folder_of: Callable[[Node], Path], exported: Exported, form: Form, out: Path) -> None:
    """Write a mixture and its certificate into `out`; `folder_of` gives the verified folder of what is behind it."""
    mixture = folder_of(behind.mixture)
    folders = [folder_of(node) for node in behind.stores]
    tokenizer = folder_of(behind.tokenizer)
    shutil.copyfile(mixture / "certificate.json", out / "certificate.json")
    if form == "windows":
        packs = [folder_of(node) for node in behind.packs]
        export_windows(exported, MixtureWindows(mixture, packs, folders), tokenizer, out)
        return
    certificate = read_json(mixture / "certificate.json")
    tokens, phases = certificate["sources"]["allocated_tokens"], certificate.get("phases", [])
    parts = [
        Part(name, folder, tokens[at], tuple(phase["allocated"][at] for phase in phases))
        for at, (name, folder) in enumerate(zip(name_parts(behind.packs), folders, strict=True))
    ]
    spec = behind.packs[0].spec
    assert isinstance(spec, PackSpec)
    export_blend(exported, parts, tokenizer, spec.pack.sequence_tokens, out)
