"""A mixture as files for trainers that are not ours: a blend of Megatron-LM's, or its windows one after another.

Shape letters: T tokens of a window.
"""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixlab.config.problems import DataError
from mixlab.data.exports.export_text import render_arguments, render_blend_readme, render_windows_readme
from mixlab.data.exports.megatron import MegatronWriter, narrow_dtype
from mixlab.data.exports.megatron_store import MASK_DTYPE, export_responses, export_store
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.data.tokens.store import TokenStore
from mixlab.data.tokens.tokenizer import TOKENIZER_FILE, read_vocabulary
from mixlab.data.writing import write_json

PHASE_PATH = "data_path_phase_{}.txt"
DATA_PATH, ARGUMENTS, README = "data_path.txt", "megatron_arguments.txt", "README.md"
WINDOWS, DOCUMENTS, RESPONSES, TOKENIZER = "windows", "documents", "responses", "tokenizer"

_BLOCK_TOKENS = 1 << 21
_LENGTH_DTYPE = np.dtype("<i4")
_LOG_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """One source of a mixture: its name in the export, its token store, and the tokens that the mixture takes of it.

    `phases`: of these, what each phase takes, in tokens or in windows; empty where ratios never change.
    """

    name: str
    store: Path
    tokens: int
    phases: tuple[int, ...] = ()


@dataclass(frozen=True)
class Exported:
    """What people call the mixture and its key, the folder as its user sees it, and what is wanted beside the tokens.

    `responses`: which tokens are answers too. `link`: hard links instead of copies where that can be.
    """

    label: str
    key: str
    at: str
    responses: bool = False
    link: bool = False


def export_blend(
    exported: Exported, parts: Sequence[Part], tokenizer: Path, sequence_tokens: int, out: Path
) -> list[str]:
    """Write every source of a mixture with a share as .bin and .idx, and the arguments with which Megatron blends them.

    Weights are the tokens that the mixture takes of each source: whole numbers, so that shares are exact. Returns
    the arguments. Raises DataError when the disk is too small, and for a place that Megatron could not read.
    """
    if any(letter.isspace() for letter in exported.at):
        raise DataError(f"'{exported.at}': Megatron reads its data paths between white space; name a folder without")
    used = [part for part in parts if part.tokens]
    population = _export_stores(exported, used, out)
    _write_weights(out / DATA_PATH, exported.at, {part.name: part.tokens for part in used})
    phases = len(used[0].phases)
    for at in range(phases):
        weights = {part.name: part.phases[at] for part in used if part.phases[at]}
        _write_weights(out / PHASE_PATH.format(at + 1), exported.at, weights)
    samples = -(-sum(part.tokens for part in used) // sequence_tokens)
    arguments = render_arguments(exported.at, sequence_tokens, samples)
    (out / ARGUMENTS).write_text("\n".join(arguments) + "\n", encoding="utf-8")
    _write_tokenizer(tokenizer, out / TOKENIZER)
    rows = [(part.name, part.tokens, population[part.name]) for part in used]
    text = render_blend_readme(
        exported.label, exported.key, rows, arguments, responses=exported.responses, phases=phases
    )
    (out / README).write_text(text, encoding="utf-8")
    return arguments


def _export_stores(exported: Exported, used: Sequence[Part], out: Path) -> dict[str, int]:
    """Write the token stores behind a blend; return how many tokens each has."""
    stores = {part.name: TokenStore(part.store) for part in used}
    answering = {name for name, store in stores.items() if exported.responses and store.response_tokens}
    needed_bytes = 0
    for name, store in stores.items():
        needed_bytes += 0 if exported.link else store.tokens_total * store.dtype.itemsize
        needed_bytes += (store.tokens_total if name in answering else 0) + 40 * store.documents
    _check_space(out, needed_bytes)
    if answering:
        (out / RESPONSES).mkdir()
    for number, part in enumerate(used, 1):
        tokens = export_store(part.store, out / part.name, link=exported.link)
        if part.name in answering:
            export_responses(part.store, out / RESPONSES / part.name)
        log.info("%d of %d: %s, %d tokens", number, len(used), part.name, tokens)
    return {name: store.tokens_total for name, store in stores.items()}


def _write_weights(path: Path, at: str, weights: Mapping[str, int]) -> None:
    path.write_text("".join(f"{weight} {at}/{name}\n" for name, weight in weights.items()), encoding="utf-8")


def export_windows(exported: Exported, windows: MixtureWindows, tokenizer: Path, out: Path) -> int:
    """Write the windows of a mixture in training order, each as one document of `windows`.bin and .idx.

    Beside them `documents` (int32 lengths of what shares a window) and, when asked for, `responses` (uint8, 1 where a
    token belongs to an answer), both with one document for each window as well. Returns the tokens written. Raises
    DataError when the disk is too small.
    """
    dtype, count = narrow_dtype(windows.vocab_size), len(windows)
    _check_space(out, count * (windows.sequence_tokens * (dtype.itemsize + exported.responses) + 64))
    with ExitStack() as stack:
        tokens = stack.enter_context(MegatronWriter(out / WINDOWS, dtype, count))
        lengths = stack.enter_context(MegatronWriter(out / DOCUMENTS, _LENGTH_DTYPE, count))
        masks = stack.enter_context(MegatronWriter(out / RESPONSES, MASK_DTYPE, count)) if exported.responses else None
        _copy_windows(windows, tokens, lengths, masks)
    _write_tokenizer(tokenizer, out / TOKENIZER)
    text = render_windows_readme(
        exported.label, exported.key, count, tokens.tokens, windows.sequence_tokens, responses=exported.responses
    )
    (out / README).write_text(text, encoding="utf-8")
    return tokens.tokens


def _copy_windows(
    windows: MixtureWindows, tokens: MegatronWriter, lengths: MegatronWriter, masks: MegatronWriter | None
) -> None:
    block = max(1, _BLOCK_TOKENS // windows.sequence_tokens)
    begin = last = time.monotonic()
    for first in range(0, len(windows), block):
        read = [windows.window(place) for place in range(first, min(first + block, len(windows)))]
        sizes = np.array([len(window.tokens_T) for window in read])
        tokens.add(sizes, np.concatenate([window.tokens_T for window in read]))
        segments = [np.asarray(window.segment_lengths, _LENGTH_DTYPE) for window in read]
        lengths.add(np.array([len(one) for one in segments]), np.concatenate(segments))
        if masks is not None:
            masks.add(sizes, np.concatenate([window.response_mask_T for window in read]))
        now = time.monotonic()
        if now - last >= _LOG_SECONDS:
            last, rate = now, tokens.tokens / (now - begin) / 1e6
            log.info("%d of %d windows, %.1f million tokens/s", first + len(read), len(windows), rate)


def _check_space(out: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(out).free
    if needed_bytes > free:
        raise DataError(f"{out}: {needed_bytes / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free")


def _write_tokenizer(tokenizer: Path, out: Path) -> None:
    """Write the tokenizer as transformers opens it: its file, and which tokens end and fill up."""
    vocabulary = read_vocabulary(tokenizer)
    out.mkdir()
    shutil.copyfile(tokenizer / TOKENIZER_FILE, out / TOKENIZER_FILE)
    card = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": vocabulary.end_token,
        "pad_token": vocabulary.pad_token,
    }
    write_json(out / "tokenizer_config.json", card)
