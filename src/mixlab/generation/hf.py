"""The engine `hf`: transformers' generate on a local model folder, with the tokenizer of the house.

Nothing is fetched and no code of a model folder is run; how a folder wants its model to be sampled, in
`generation_config.json` or `config.json`, is not obeyed: the request says all of it. Prompts are padded on the left and
grouped by length. Importing transformers with a Llama class takes 4 s on this house's machines, torch alone 1.4 s: open
one engine per model and ask it everything.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteriaList,
)
from transformers.utils.logging import disable_progress_bar

from mixlab.config.engines import HfEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.generation.decoding import SeededChoice, StopStrings
from mixlab.generation.encoding import Encoded, PromptEncoder
from mixlab.generation.engine import LENGTH, STOP, Completion, Finished, Request, group_by_temperature
from mixlab.generation.likelihoods import Weighed, Weight, encode_pair, split_space, weigh_batches
from mixlab.generation.prefixes import Prefix, compute_prefix
from mixlab.generation.rows import build_batches, count_until_stop, cut_at_stop

log = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class HfEngine:
    """A causal language model in memory; see `open_engine`."""

    def __init__(self, model: PreTrainedModel, encoder: PromptEncoder, batch: int, shares_prefixes: bool) -> None:
        self._model = model
        self._encoder = encoder
        self._batch = batch
        self._shares_prefixes = shares_prefixes
        self.special_tokens = encoder.special_tokens

    def close(self) -> None:
        """Let go of the model and of the memory it takes; nothing can be asked any more."""
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def find_too_long(
        self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool
    ) -> list[tuple[int, str]]:
        """Name the requests that cannot be asked; see `Engine.find_too_long`."""
        return self._encoder.find_too_long(requests, sampling, chat=chat)

    def generate(self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool) -> Iterator[Finished]:
        """Continue each prompt, a batch of like temperature at a time; greedy in float32 the batch does not matter."""
        encoded, refused = self._encoder.encode_fitting(requests, sampling, chat=chat)
        ends = self._encoder.find_ends(sampling)
        if refused:
            yield refused
        fitting = list(encoded)
        prefix = None
        if self._shares_prefixes:
            prefix = compute_prefix(self._model, [encoded[position].ids for position in fitting])
        for own, alike in group_by_temperature(requests, fitting, sampling):
            batches = build_batches([len(encoded[position].ids) for position in alike], self._batch)
            for number, members in enumerate(batches, start=1):
                positions = [alike[member] for member in members]
                seeds = [requests[position].seed for position in positions]
                rows = [encoded[position] for position in positions]
                yield list(zip(positions, self._generate_batch(rows, own, seeds, ends, prefix), strict=True))
                log.debug("generated batch %d of %d at temperature %g", number, len(batches), own.temperature)

    def encode_pairs(self, pairs: Sequence[tuple[str, str]], sampling: SamplingSettings) -> list[Weighed | str]:
        """Encode contexts with their continuations; see `Weigher.encode_pairs`."""
        spaced = [split_space(context, continuation) for context, continuation in pairs]
        contexts = self._encoder.encode_texts([context for context, _ in spaced])
        wholes = self._encoder.encode_texts([context + continuation for context, continuation in spaced])
        is_cut = sampling.long_prompts == "truncate_left"
        end, positions = self._encoder.end_id, self._encoder.positions
        return [
            encode_pair(context, whole, end, positions, is_cut=is_cut)
            for context, whole in zip(contexts, wholes, strict=True)
        ]

    def weigh(self, rows: Sequence[Weighed]) -> Iterator[list[tuple[int, Weight]]]:
        """Say how likely continuations are; see `Weigher.weigh`."""
        return weigh_batches(self._model, rows, self._batch, self._encoder.pad_id)

    @torch.inference_mode()
    def _generate_batch(
        self,
        rows: Sequence[Encoded],
        sampling: SamplingSettings,
        seeds: Sequence[int],
        ends: Sequence[int],
        prefix: Prefix | None,
    ) -> list[Completion]:
        pad = self._encoder.pad_id
        longest = max(len(row.ids) for row in rows)
        device = next(self._model.parameters()).device
        ids_BT, mask_BT = _lay_out([row.ids for row in rows], longest, pad, prefix.tokens if prefix else 0, device)
        processors, criteria = LogitsProcessorList(), StoppingCriteriaList()
        if sampling.temperature > 0:
            processors.append(SeededChoice(sampling.temperature, sampling.top_p, seeds))
        if sampling.stop:
            criteria.append(StopStrings(sampling.stop, longest, self._encoder.decode))
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=sampling.max_new_tokens, do_sample=False, eos_token_id=list(ends), pad_token_id=pad
        )
        generate: Any = self._model.generate
        out_BT = generate(
            ids_BT,
            attention_mask=mask_BT,
            generation_config=config,
            logits_processor=processors,
            stopping_criteria=criteria,
            **({"past_key_values": prefix.repeat(len(rows))} if prefix else {}),
        )
        answers = out_BT[:, longest:].tolist()
        return [self._complete(row, answer, sampling, ends) for row, answer in zip(rows, answers, strict=True)]

    def _complete(self, row: Encoded, answer: list[int], sampling: SamplingSettings, ends: Sequence[int]) -> Completion:
        end = next((at for at, token in enumerate(answer) if token in ends), None)
        written = answer if end is None else answer[:end]
        text, stopped = cut_at_stop(self._encoder.decode(written), sampling.stop)
        if stopped:
            # past its stop string a row holds only padding, which may be the end token
            count = count_until_stop(written, self._encoder.pad_id, sampling.stop, self._encoder.decode)
        else:
            count = len(answer) if end is None else end + 1
        return Completion(text, len(row.ids), count, STOP if stopped or end is not None else LENGTH, row.cut_tokens)


def _lay_out(
    rows: Sequence[list[int]], longest: int, pad: int, shared: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask [B, T]; padding stands at the left, behind `shared` tokens that are computed already."""
    gaps = [longest - len(row) for row in rows]
    ids = [row[:shared] + [pad] * gap + row[shared:] for row, gap in zip(rows, gaps, strict=True)]
    mask = [[1] * shared + [0] * gap + [1] * (longest - shared - gap) for gap in gaps]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def open_engine(
    model: Path,
    tokenizer: Path,
    settings: HfEngineSettings,
    *,
    threads: int,
    batch: int,
    device: str = "cpu",
    shares_prefixes: bool = False,
) -> HfEngine:
    """Load a model folder (`config.json`, `model.safetensors`) and a tokenizer folder (`tokenizer.json`).

    `threads`, `batch`, `device` and `shares_prefixes` are the machine's and change no greedy result in float32.
    Raises DataError when the tokenizer has more entries than the model has embeddings.
    """
    torch.set_num_threads(threads)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        model,
        dtype=_DTYPES[settings.dtype],
        attn_implementation="sdpa",
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    # what a request leaves open transformers takes from here: a folder may ask for a repetition penalty, beams, …
    loaded.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    encoder = PromptEncoder(tokenizer, loaded.config.max_position_embeddings)
    encoder.check_rows(loaded.config.vocab_size)
    module: torch.nn.Module = loaded
    module.to(device).eval()
    return HfEngine(loaded, encoder, batch, shares_prefixes)
