"""What stands beside exported data: the arguments of Megatron-LM and a page for whoever opens the folder.

Arguments are those of
https://github.com/NVIDIA/Megatron-LM/blob/d98e8a64ddf34856e74b24714e3bedb2f5a39553/megatron/training/arguments.py
"""

from collections.abc import Sequence

Row = tuple[str, int, int]
"""Name of a source, tokens that the mixture takes of it, tokens that it has."""


def render_arguments(at: str, sequence_tokens: int, samples: int) -> list[str]:
    """Arguments of Megatron's pretrain_gpt.py for a blend that lies in `at`."""
    return [
        f"--data-args-path {at}/data_path.txt",
        "--split 100,0,0",
        f"--seq-length {sequence_tokens}",
        f"--train-samples {samples}",
        "--tokenizer-type HuggingFaceTokenizer",
        f"--tokenizer-model {at}/tokenizer",
        "--reset-position-ids",
        "--reset-attention-mask",
        "--eod-mask-loss",
    ]


_BLEND = """\
# {label}

Mixture `{key}` as a blend of Megatron-LM's indexed datasets: the documents of each source, and weights.

| source | tokens of the mixture | share | tokens there are | epochs |
| --- | ---: | ---: | ---: | ---: |
{rows}

* `NAME.bin`, `NAME.idx`: all documents of a source, each ends with its end token.
* `data_path.txt`: weights and prefixes, as `--data-path` takes them too. The weights are the tokens above, so that
  shares are exact.
* `megatron_arguments.txt`: what to pass to `pretrain_gpt.py`, beside model and optimizer:

{arguments}

{responses}The last three arguments keep documents of a sample from seeing each other, as mixlab's own training does by
default; leave them out to let them.

## What differs from the mixture itself

* **The order is Megatron's own**: it shuffles documents and samples with `--seed`. The order of the mixture, window by
  window, is the export `--format windows`.
* Megatron joins documents and cuts them every {sequence_tokens} tokens; the mixture's windows are packed as its study
  says. So a sample holds other documents, and long dialogues are cut, not shortened.
* Shares hold over the whole run; the mixture holds them at every step, within one window per source.
{phases}* Every document of a source may be drawn, also those that packing left out.
"""

_WINDOWS = """\
# {label}

The windows of mixture `{key}` in training order: {windows} windows, {tokens} tokens, at most {sequence_tokens} in one.

* `windows.bin`, `windows.idx`: Megatron-LM's indexed dataset; document k is what training sees at place k, without
  padding. Whoever reads the documents one after another sees the mixture itself.
* `documents.bin`, `documents.idx`: in the same layout, int32; entry k holds the lengths of the documents that share
  window k. Start positions anew, and let nothing be attended to or predicted, across their borders, as mixlab's own
  training does by default.
{responses}* `tokenizer/`: opens with transformers' `AutoTokenizer.from_pretrained`.

With B windows a step, step k (from 1) is documents (k - 1) × B up to k × B. Megatron's `GPTDataset` would draw an order
of its own and join windows: read these files with its `IndexedDataset`, or use `mixlab.training.loading.dataset`.
"""

_RESPONSES_OF_WINDOWS = """\
* `responses.bin`, `responses.idx`: in the same layout, uint8; 1 where a token of window k belongs to an answer.
"""
_RESPONSES_OF_BLEND = """\
* `responses/NAME.bin`, `.idx`: in the same layout, uint8; 1 where a token belongs to an answer; raw text has none.
  Megatron reads no loss mask from files: this one is for code of yours.

"""

_PHASES_OF_BLEND = """\
* This mixture's ratios change on the way, {phases} phases in all, and a blend has one set of weights: `data_path.txt`
  has those of the whole run, `data_path_phase_N.txt` those of phase N alone. To follow the phases, train them one
  after another; `phases` in `certificate.json` says how many windows each has.
"""


def render_blend_readme(
    label: str, key: str, rows: Sequence[Row], arguments: Sequence[str], *, responses: bool, phases: int
) -> str:
    """Render the page beside a blend; `phases` is 0 where the ratios never change."""
    total = sum(tokens for _, tokens, _ in rows)
    lines = [
        f"| {name} | {tokens} | {tokens / total:.6f} | {there} | {tokens / there:.2f} |" for name, tokens, there in rows
    ]
    length = next(one.split()[1] for one in arguments if one.startswith("--seq-length"))
    return _BLEND.format(
        label=label,
        key=key,
        rows="\n".join(lines),
        arguments="\n".join(f"      {one}" for one in arguments),
        responses=_RESPONSES_OF_BLEND if responses else "",
        sequence_tokens=length,
        phases=_PHASES_OF_BLEND.format(phases=phases) if phases else "",
    )


def render_windows_readme(
    label: str, key: str, windows: int, tokens: int, sequence_tokens: int, *, responses: bool
) -> str:
    """Render the page beside windows in order."""
    return _WINDOWS.format(
        label=label,
        key=key,
        windows=windows,
        tokens=tokens,
        sequence_tokens=sequence_tokens,
        responses=_RESPONSES_OF_WINDOWS if responses else "",
    )
