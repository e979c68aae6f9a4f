"""The engine `hf`: transformers' generate on a local model folder, with the tokenizer of the house.

Nothing is fetched and no code of a model folder is run. Prompts are padded on the left and grouped by length. Importing
transformers with a Llama class takes 4 s on this house's machines, torch alone 1.4 s: open one engine per model and ask
it everything.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteriaList,
)
from transformers.utils.logging import disable_progress_bar

from mixlab.config.generation import EngineSettings, SamplingSettings
from mixlab.config.problems import DataError
from mixlab.data.tokens.tokenizer import Vocabulary, load_tokenizer, read_vocabulary
from mixlab.generation.decoding import SeededChoice, StopStrings, build_batches, build_row_seed, cut_at_stop
from mixlab.generation.engine import Completion, FinishReason

log = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class HfEngine:
    """A causal language model in memory; see `open_engine`."""

    def __init__(self, model: PreTrainedModel, tokenizer: Tokenizer, vocabulary: Vocabulary, batch: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._batch = batch
        self._end = vocabulary.end_id
        self._pad = vocabulary.pad_id
        self.special_tokens = tuple(vocabulary.special_tokens)

    def generate(
        self, prompts: Sequence[str], sampling: SamplingSettings, seed: int, *, chat: bool
    ) -> list[Completion]:
        """Continue each prompt; see `Engine.generate`. Greedy in float32 does not depend on the batch."""
        self._tokenizer.encode_special_tokens = not chat
        encoded = self._tokenizer.encode_batch_fast(list(prompts), add_special_tokens=False)
        prompts_ids = [encoding.ids or [self._end] for encoding in encoded]
        room = self._model.config.max_position_embeddings - sampling.max_new_tokens
        completions = [Completion("", len(ids), 0, "prompt_too_long") for ids in prompts_ids]
        fitting = [position for position, ids in enumerate(prompts_ids) if len(ids) <= room]
        batches = build_batches([len(prompts_ids[position]) for position in fitting], self._batch)
        for number, members in enumerate(batches, start=1):
            positions = [fitting[member] for member in members]
            seeds = [build_row_seed(seed, position, prompts[position]) for position in positions]
            rows = [prompts_ids[position] for position in positions]
            for position, completion in zip(positions, self._generate_batch(rows, sampling, seeds), strict=True):
                completions[position] = completion
            log.debug("generated batch %d of %d", number, len(batches))
        return completions

    @torch.inference_mode()
    def _generate_batch(
        self, rows: Sequence[list[int]], sampling: SamplingSettings, seeds: Sequence[int]
    ) -> list[Completion]:
        longest = max(len(row) for row in rows)
        device = next(self._model.parameters()).device
        ids_BT = torch.tensor([[self._pad] * (longest - len(row)) + row for row in rows], device=device)
        mask_BT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
        processors, criteria = LogitsProcessorList(), StoppingCriteriaList()
        if sampling.temperature > 0:
            processors.append(SeededChoice(sampling.temperature, sampling.top_p, seeds))
        if sampling.stop:
            criteria.append(StopStrings(sampling.stop, longest, self._decode))
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            eos_token_id=self._end,
            pad_token_id=self._pad,
        )
        generate: Any = self._model.generate
        out_BT = generate(
            ids_BT,
            attention_mask=mask_BT,
            generation_config=config,
            logits_processor=processors,
            stopping_criteria=criteria,
        )
        answers = out_BT[:, longest:].tolist()
        return [self._complete(row, answer, sampling) for row, answer in zip(rows, answers, strict=True)]

    def _complete(self, row: list[int], answer: list[int], sampling: SamplingSettings) -> Completion:
        ended = self._end in answer
        # past its end a row holds only padding; a model may also write the padding token itself, which ends nothing
        written = answer[: answer.index(self._end) + 1] if ended else self._until_stop(answer, sampling.stop)
        text, stopped = cut_at_stop(self._decode(written), sampling.stop)
        reason: FinishReason = "stop" if ended or stopped else "length"
        return Completion(text, len(row), len(written), reason)

    def _until_stop(self, answer: list[int], stop: Sequence[str]) -> list[int]:
        while stop and answer and answer[-1] == self._pad and cut_at_stop(self._decode(answer[:-1]), stop)[1]:
            answer = answer[:-1]
        return answer

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


def open_engine(
    model: Path, tokenizer: Path, settings: EngineSettings, *, threads: int, batch: int, device: str = "cpu"
) -> HfEngine:
    """Load a model folder (`config.json`, `model.safetensors`) and a tokenizer folder (`tokenizer.json`).

    `threads`, `batch` and `device` are the machine's and change no greedy result in float32.
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
    words = load_tokenizer(tokenizer)
    vocabulary, rows = read_vocabulary(tokenizer, words), loaded.config.vocab_size
    if vocabulary.size > rows:
        raise DataError(
            f"the tokenizer has {vocabulary.size} entries but the model only {rows}: "
            "generate with the tokenizer the model was trained with"
        )
    module: torch.nn.Module = loaded
    module.to(device).eval()
    return HfEngine(loaded, words, vocabulary, batch)
