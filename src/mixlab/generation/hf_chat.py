"""A chat model in memory: transformers' generate on any local model folder, with its own tokenizer and template.

`generation/hf.py` serves the models trained here, whose tokenizer lies elsewhere; this serves the ones others made.
Nothing is fetched and no code of a model folder is run; of how it wants its model to be sampled, only the tokens that
end a reply are taken.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LogitsProcessorList, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from mixlab.config.problems import DataError
from mixlab.data.labels.questions import REFUSED
from mixlab.data.records import Message
from mixlab.generation.decoding import SeededChoice
from mixlab.generation.replies import ChatReply
from mixlab.generation.rows import build_batches

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class HfChat:
    """A chat model; see `open_chat`."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any, batch: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._batch = batch
        ends = model.generation_config.eos_token_id if model.generation_config else None
        ends = tokenizer.eos_token_id if ends is None else ends
        self._ends: list[int] = [ends] if isinstance(ends, int) else list(ends or [])
        # what a request leaves open transformers takes from here
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        if not self._ends:
            raise DataError("the model folder names no token that ends a reply: set eos_token_id in its config")
        self._pad = self._ends[0] if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    def reply_all(
        self, dialogues: Sequence[Sequence[Message]], *, max_tokens: int, temperature: float, seeds: Sequence[int]
    ) -> Iterator[list[tuple[int, ChatReply]]]:
        """Yield lists of (position of the dialogue, reply), a batch of like length at a time.

        Temperature 0 is greedy; above, each dialogue draws from its own seed. One that does not fit the model's
        positions is refused.
        """
        encoded = [self._encode(dialogue) for dialogue in dialogues]
        room = self._model.config.max_position_embeddings - max_tokens
        refused = [position for position, ids in enumerate(encoded) if len(ids) > room]
        if refused:
            told = f"tokens and a reply of {max_tokens} do not fit the model's {room + max_tokens} positions"
            yield [(position, ChatReply(f"{len(encoded[position])} {told}", REFUSED)) for position in refused]
        fitting = [position for position, ids in enumerate(encoded) if len(ids) <= room]
        for members in build_batches([len(encoded[position]) for position in fitting], self._batch):
            positions = [fitting[member] for member in members]
            chosen = [seeds[position] for position in positions]
            rows = [encoded[position] for position in positions]
            yield list(zip(positions, self._reply(rows, max_tokens, temperature, chosen), strict=True))

    def _encode(self, dialogue: Sequence[Message]) -> list[int]:
        """Wrap a dialogue in the folder's template; without one it is plain text with a line for the reply."""
        if self._tokenizer.chat_template:
            text = self._tokenizer.apply_chat_template(list(dialogue), tokenize=False, add_generation_prompt=True)
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        text = "\n\n".join(message["content"] for message in dialogue) + "\n"
        return list(self._tokenizer(text)["input_ids"])

    @torch.inference_mode()
    def _reply(
        self, rows: Sequence[list[int]], max_tokens: int, temperature: float, seeds: Sequence[int]
    ) -> list[ChatReply]:
        longest = max(len(row) for row in rows)
        device = next(self._model.parameters()).device
        ids_BT = torch.tensor([[self._pad] * (longest - len(row)) + row for row in rows], device=device)
        mask_BT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
        processors = LogitsProcessorList()
        if temperature > 0:
            processors.append(SeededChoice(temperature, 1.0, seeds))
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=max_tokens, do_sample=False, eos_token_id=self._ends, pad_token_id=self._pad
        )
        generate: Any = self._model.generate
        out_BT = generate(ids_BT, attention_mask=mask_BT, generation_config=config, logits_processor=processors)
        replies = []
        for row, written in zip(rows, out_BT[:, longest:].tolist(), strict=True):
            end = next((at for at, token in enumerate(written) if token in self._ends), None)
            ids = written if end is None else written[:end]
            text = self._tokenizer.decode(ids, skip_special_tokens=True)
            reason = "length" if end is None else "stop"
            replies.append(ChatReply(text, reason, len(row), len(ids) + (end is not None)))
        return replies


def open_chat(folder: Path, dtype: str, *, threads: int, batch: int, device: str = "cpu") -> HfChat:
    """Load a model folder with its tokenizer; `threads`, `batch` and `device` change no greedy result in float32.

    Raises DataError for a folder that transformers cannot read.
    """
    torch.set_num_threads(threads)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder, dtype=_DTYPES[dtype], use_safetensors=True, **local
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: transformers cannot read this model folder: {error}") from None
    module: torch.nn.Module = loaded
    module.to(device).eval()
    return HfChat(loaded, tokenizer, batch)
