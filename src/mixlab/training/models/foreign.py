"""A causal model of any family that transformers knows, trained like our own; it imports transformers.

Its attention goes through our document-respecting kernels by transformers' AttentionInterface. A family whose tokens
find another way to each other (attention of its own, a state, a convolution, a sliding window) is refused by name.

Shape letters: B windows, T tokens, D hidden width, H query heads, K key heads, S head width, N target tokens,
V vocabulary.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.utils import logging as transformers_logging

from mixlab.config.kernels import KernelSettings
from mixlab.config.problems import DataError, Problem
from mixlab.training.models.attention import DocumentAttention
from mixlab.training.models.in_turn import InTurn, told_when_long
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.shape import CONFIG_FILE, ModelShape, read_config
from mixlab.training.models.storage import SHARD_BYTES, StoredWeights, told_as_os_errors
from mixlab.training.tensors.files import list_weight_files

_KERNEL = "mixlab_documents"
_PLAN = "mixlab_attention"
_CHANGES_ATTENTION = ("softcap", "s_aux", "attention_chunk_size", "position_bias")
"""Arguments by which families ask for attention that is not plain causal softmax."""
_UNUSABLE = (
    *(OSError, ValueError, RuntimeError, ImportError, KeyError, AttributeError, ArithmeticError),
    StrictDataclassError,
)
"""What transformers raises for a folder that it cannot open."""
_SAME = 1e-3
"""Largest difference of a document's logits in company and alone, relative to the largest logit."""


@dataclass(frozen=True)
class ForeignShape(ModelShape):
    """Sizes of a model that transformers computes; `config` is its config.json."""

    config: str

    def describe(self) -> dict[str, Any]:
        """The model's config.json."""
        found: dict[str, Any] = json.loads(self.config)
        return found


class ForeignModel(CausalModel):
    """A model folder opened by transformers, in float32; dropout of its config is not applied."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`; raises DataError for a family or a folder that cannot be trained."""
        super().__init__()
        self._config = read_config(folder)
        self._kernels = KernelSettings()
        self._rows_N = torch.zeros(0, dtype=torch.long)
        self.inner: Any = _open(folder, self._config)
        self.family = str(self._config.get("model_type"))
        embeddings, head = self.inner.get_input_embeddings(), self.inner.get_output_embeddings()
        limit = _find_limit(self.inner.config)
        if not isinstance(embeddings, nn.Embedding) or head is None or limit is None:
            raise _refuse(folder, self.family, "has no plain embeddings, head and max_position_embeddings")
        self.shape: ForeignShape = ForeignShape(
            embeddings.num_embeddings, limit, json.dumps(self._config, sort_keys=True)
        )
        head.register_forward_pre_hook(self._choose_rows)
        self.inner.train()
        self._check_documents(folder)

    def named_weights(self) -> dict[str, Tensor]:
        """The weights by transformers' names."""
        return dict(self.inner.named_parameters())

    def find_by_token(self, stored: StoredWeights) -> list[str]:
        """Name those of its stored weights that have one row for each token of the vocabulary.

        transformers may store a weight under another name than it has in memory; then its values tell which it is.
        """
        modules = (self.inner.get_input_embeddings(), self.inner.get_output_embeddings())
        weights = [weight for module in modules for weight in module.parameters(recurse=False)]
        ids = {id(weight) for weight in weights}
        names = {name for name, weight in self.inner.named_parameters(remove_duplicate=False) if id(weight) in ids}
        return [
            name
            for name in stored
            if name in names
            or any(
                stored.shape_of(name) == tuple(weight.shape) and torch.equal(stored[name].float(), weight)
                for weight in weights
            )
        ]

    def use_kernels(self, kernels: KernelSettings) -> None:
        """Compute as the machine settings say from now on; what is compiled stays so."""
        if kernels.activation_checkpointing and not self.inner.supports_gradient_checkpointing:
            raise DataError(
                f"machine.kernels.activation_checkpointing: transformers has none for family '{self.family}'; "
                "set it to false"
            )
        if kernels.activation_checkpointing:
            self.inner.activation_checkpointing_enable({"use_reentrant": False})
        else:
            self.inner.activation_checkpointing_disable()
        if kernels.compile and not self._kernels.compile:
            # the documents are others in every batch, and each would be compiled anew
            AttentionInterface.register(_KERNEL, torch.compiler.disable(_attend))  # type: ignore[no-untyped-call]
            for module in self.inner.modules():
                if type(module).__name__ in (self.inner._no_split_modules or ()):
                    module.compile()
        self._kernels = kernels

    def forward(self, tokens_BT: Tensor, documents_BT: Tensor, positions_BT: Tensor, rows_N: Tensor) -> Tensor:
        """Logits [N, V] of the tokens after the flat places `rows_N`; see CausalModel."""
        plan = DocumentAttention(documents_BT, self._kernels.attention)
        for module in self.inner.modules():
            # stays until the next forward pass: layers computed again in the backward pass need it
            module.__dict__[_PLAN] = plan
        self._rows_N = rows_N
        out = self.inner(input_ids=tokens_BT, position_ids=positions_BT, use_cache=False)
        return cast(Tensor, out.logits)

    def write(self, folder: Path, weights: InTurn) -> None:
        """Write its config.json, with the dtype of the weights, and safetensors (float32) into an existing folder.

        All are taken before any is written: transformers has names and forms of its own for what some families store.
        """
        tensors = {name: weight.detach() for name, weight in weights.tensors}
        with told_when_long(weights, folder), told_as_os_errors(folder):
            self.inner.save_pretrained(folder, state_dict=tensors, max_shard_size=SHARD_BYTES)
        # it names the version of transformers, which decides nothing
        (folder / "generation_config.json").unlink(missing_ok=True)
        config = {**self._config, "dtype": "float32", "torch_dtype": "float32"}
        text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")

    def _choose_rows(self, head: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden_BTD, *others = inputs
        return (hidden_BTD.flatten(0, 1).index_select(0, self._rows_N), *others)

    @torch.no_grad()
    def _check_documents(self, folder: Path) -> None:
        """Refuse a family whose documents notice each other: two in a window must have the logits they have alone."""
        lengths = (5, 4)
        tokens_1T = (torch.arange(sum(lengths))[None] * 7 + 3) % self.shape.vocab_size
        documents_1T = torch.repeat_interleave(torch.arange(2), torch.tensor(lengths))[None]
        positions_1T = torch.cat([torch.arange(length) for length in lengths])[None]
        try:
            packed_NV = self(tokens_1T, documents_1T, positions_1T, torch.arange(sum(lengths)))
            for number, place in enumerate((0, lengths[0])):
                span = slice(place, place + lengths[number])
                rows_N = torch.arange(lengths[number])
                alone_NV = self(tokens_1T[:, span], torch.zeros_like(documents_1T[:, span]), rows_N[None], rows_N)
                difference = float((packed_NV[span] - alone_NV).abs().max() / alone_NV.abs().max())
                if not difference <= _SAME:
                    raise _refuse(folder, self.family, "lets the documents of a window see each other")
        except (TypeError, ValueError, AttributeError, RuntimeError, IndexError, KeyError) as error:
            what = f"cannot compute packed documents ({str(error).splitlines()[0] if str(error) else error!r})"
            raise _refuse(folder, self.family, what) from error


def _attend(
    module: nn.Module,
    q_BHTS: Tensor,
    k_BKTS: Tensor,
    v_BKTS: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: heads before tokens in, tokens before heads out."""
    if asked := [name for name in _CHANGES_ATTENTION if others.get(name) is not None]:
        raise ValueError(f"its attention asks for {', '.join(asked)}")
    if attention_mask is not None:
        raise ValueError("its attention brings a mask of its own")
    window = others.get("sliding_window")
    if window is not None and q_BHTS.shape[2] > window:
        raise ValueError(f"its attention slides over {window} tokens")
    plan: DocumentAttention = module.__dict__[_PLAN]
    return plan(q_BHTS, k_BKTS, v_BKTS, scaling).transpose(1, 2).contiguous(), None


def _find_limit(config: Any) -> int | None:
    """Longest sequence: its positions, and no more than a sliding window, within which attention is plain."""
    limit, window = getattr(config, "max_position_embeddings", None), getattr(config, "sliding_window", None)
    if not isinstance(limit, int):
        return None
    return min(limit, window) if isinstance(window, int) else limit


def _open(folder: Path, config: dict[str, Any]) -> Any:
    family = str(config.get("model_type"))
    if "auto_map" in config:
        message = "names Python code of the model's author, which is never run; take a family that transformers has"
        raise DataError(Problem(message, str(folder / CONFIG_FILE), key="auto_map"))
    if config.get("quantization_config") is not None:
        message = "quantised weights cannot be trained; take the unquantised model"
        raise DataError(Problem(message, str(folder / CONFIG_FILE), key="quantization_config"))
    list_weight_files(folder)
    AttentionInterface.register(_KERNEL, _attend)
    # under ZeRO 3 transformers would cut the model while it is opened, which all ranks would have to do together
    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    auto: Any = AutoModelForCausalLM
    try:
        settings = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        _drop_dropout(settings)
        model, told = auto.from_pretrained(
            folder,
            config=settings,
            dtype=torch.float32,
            attn_implementation=_KERNEL,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except _UNUSABLE as error:
        raise _refuse(folder, family, f"cannot be opened by transformers ({error})") from error
    if not model._supports_attention_backend:
        raise _refuse(folder, family, "has attention of its own that cannot be told of documents")
    _check_loaded(folder, told)
    return model


def _check_loaded(folder: Path, told: dict[str, Any]) -> None:
    path = str(list_weight_files(folder)[0])
    problems = [Problem("weight is missing", path, key=name) for name in sorted(told["missing_keys"])]
    problems += [
        Problem("weight is unknown to the model that config.json describes", path, key=name)
        for name in sorted(told["unexpected_keys"])
    ]
    problems += [
        Problem(f"has shape {tuple(stored)}, the model wants {tuple(wanted)}", path, key=name)
        for name, stored, wanted in sorted(told["mismatched_keys"])
    ]
    if problems:
        raise DataError(problems)


def _drop_dropout(settings: Any) -> None:
    """A study says what dropout there is; that of a config would be drawn without its seed."""
    for name, value in vars(settings).items():
        if isinstance(value, float) and ("dropout" in name or name.endswith(("pdrop", "_drop"))):
            setattr(settings, name, 0.0)


def _refuse(folder: Path, family: str, what: str) -> DataError:
    cure = "take a model whose attention is plain and causal, such as Llama, Qwen, Mistral or GPT-NeoX"
    return DataError(Problem(f"family '{family}' {what}; {cure}", str(folder / CONFIG_FILE), key="model_type"))
