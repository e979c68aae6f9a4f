"""How fast a model is trained on one device: tokens per second, MFU and memory, with our kernels and AdamW.

Weights and optimizer are float32, the computation bfloat16 by autocast, as in training; one step is one micro-batch of
windows of random tokens, forward, loss over every token, backward, update. Model FLOPs are counted, not what the
device does (a layer computed twice counts once): 6 for each weight of a matrix product and token (embeddings that are
only looked up count nothing, the head does), and for causal attention 6 * layers * heads * head size * (length + 1)
for each token of a document of that length. MFU is these FLOPs per second over the device's peak in bfloat16.

    python performance/throughput.py [--architectures llmjp3-1.8b llama-inhouse-1.3b] [--tokens 4096 8192] [--windows 2]
    python performance/throughput.py --tiny --device cpu

Prints one JSON line for each architecture and length, with the seconds of every step. A size that does not fit into the
device's memory is told as such.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from mixlab.config.kernels import KernelSettings
from mixlab.config.loading import load_document
from mixlab.config.model_flops import build_decoder_shape, count_parameters, count_training_flops
from mixlab.config.models import ModelSettings
from mixlab.config.studies import STUDY_TYPES
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.llama import Llama
from mixlab.training.models.shape import build_shape
from mixlab.training.watching.flops import find_peak_flops

ARCHITECTURES = Path(__file__).resolve().parents[1] / "studies/kodama_oda/architectures.yaml"
VOCABULARIES = {
    **dict.fromkeys(("llmjp3-1.8b", "llmjp3-13b", "llama-inhouse-1.3b"), 99_574),
    "qwen2.5-1.5b": 151_936,
    "llama3.2-1b": 128_256,
}
"""Entries of the tokenizers, as the paper's Tables 6 and 15 print them."""
TINY = ModelSettings(hidden_size=64, layers=2, heads=4, kv_heads=2, feed_forward=128, max_positions=8_192)
TINY_VOCABULARY = 512


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("llama-inhouse-1.3b", "llmjp3-1.8b")
    parser.add_argument("--architectures", nargs="+", choices=sorted(VOCABULARIES), default=names)
    parser.add_argument("--tokens", nargs="+", type=int, default=(4096, 8192), help="lengths of windows")
    parser.add_argument("--windows", type=int, default=2, help="windows in a micro-batch (default 2)")
    parser.add_argument("--documents", type=int, default=1, help="documents in a window, equally long (default 1)")
    parser.add_argument("--steps", type=int, default=10, help="steps that are timed (default 10)")
    parser.add_argument("--warmup", type=int, default=3, help="steps before them (default 3)")
    parser.add_argument("--device", default="cuda", help="cuda (the default) or cpu")
    parser.add_argument("--peak-tflops", type=float, help="of the device in bfloat16; absent: that of a known GPU")
    parser.add_argument("--attention", default="auto", help="kernel: auto, documents, flash or flex (default auto)")
    parser.add_argument("--activation-checkpointing", action="store_true", help="compute layers twice, for memory")
    parser.add_argument("--compile", action="store_true", help="compile the layers")
    parser.add_argument("--tiny", action="store_true", help="a model of 0.1 M parameters, windows of 256 tokens")
    return parser.parse_args(arguments)


def count_flops(settings: ModelSettings, vocab_size: int, tokens: int, document_tokens: int) -> int:
    """Model FLOPs of one forward and backward pass over `tokens` tokens in documents of one length."""
    return count_training_flops(build_decoder_shape(settings, vocab_size), tokens, tokens * document_tokens)


def build(settings: ModelSettings, vocab_size: int, device: torch.device, kernels: KernelSettings) -> CausalModel:
    """Make a model of random weights on the device."""
    with torch.device(device):
        model = Llama(build_shape(settings, vocab_size, 0, 1))
    with torch.no_grad():
        for weight in model.named_weights().values():
            if weight.dim() == 1:
                weight.fill_(1.0)
            else:
                weight.normal_(0.0, 0.02)
    model.use_kernels(kernels)
    return model


def time_steps(model: CausalModel, windows: int, tokens: int, documents: int, steps: int) -> Iterator[float]:
    """Yield the seconds of each step."""
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    length = tokens // documents
    places_T = torch.arange(tokens, device=device)
    documents_BT = (places_T // length).clamp(max=documents - 1).expand(windows, tokens)
    positions_BT = (places_T - documents_BT[0] * length).expand(windows, tokens)
    rows_N = torch.arange(windows * tokens, device=device)
    for _ in range(steps):
        tokens_BT = torch.randint(0, model.shape.vocab_size, (windows, tokens), device=device)
        _wait(device)
        begin = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16):
            logits_NV = model(tokens_BT, documents_BT, positions_BT, rows_N)
        F.cross_entropy(logits_NV.float(), tokens_BT.flatten().roll(-1)).backward()
        optimizer.step()
        optimizer.zero_grad()
        _wait(device)
        yield time.perf_counter() - begin


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def find_peak(options: argparse.Namespace, device_name: str) -> float | None:
    """Peak in TFLOPS: the one given, else that of a board known by its name."""
    known = find_peak_flops(device_name)
    if options.peak_tflops is not None:
        return float(options.peak_tflops)
    return None if known is None else known / 1e12


def measure(name: str, settings: ModelSettings, vocab_size: int, tokens: int, options: argparse.Namespace) -> Any:
    """Time one architecture at one length; returns what is printed."""
    device = torch.device(options.device)
    kernels = KernelSettings(
        attention=options.attention,
        activation_checkpointing=options.activation_checkpointing,
        compile=options.compile,
    )
    board = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    row: dict[str, Any] = {"architecture": name, "tokens": tokens, "device": board, "torch": torch.__version__}
    row |= {"windows": options.windows, "documents": options.documents, **kernels.model_dump()}
    try:
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        model = build(settings, vocab_size, device, kernels)
        steps = options.warmup + options.steps
        seconds = list(time_steps(model, options.windows, tokens, options.documents, steps))[options.warmup :]
    except torch.OutOfMemoryError:
        return {**row, "fits": False}
    flops = count_flops(settings, vocab_size, options.windows * tokens, tokens // options.documents)
    median, peak = statistics.median(seconds), find_peak(options, board)
    row |= {"fits": True, "parameters": count_parameters(build_decoder_shape(settings, vocab_size)).total}
    row |= {"tokens_per_second": round(options.windows * tokens / median, 1)}
    row |= {"model_tflops_per_second": round(flops / median / 1e12, 6)}
    row |= {"mfu": round(flops / median / 1e12 / peak, 4) if peak is not None else None}
    if device.type == "cuda":
        row |= {"peak_memory_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 2)}
    return {**row, "step_seconds": [round(one, 5) for one in seconds]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse_arguments(arguments)
    if options.tiny:
        chosen = {"tiny": (TINY, TINY_VOCABULARY)}
        lengths = [256]
    else:
        declared = load_document(ARCHITECTURES, STUDY_TYPES).data["architectures"]
        chosen = {
            name: (ModelSettings.model_validate(declared[name]), VOCABULARIES[name]) for name in options.architectures
        }
        lengths = list(options.tokens)
    for name, (settings, vocab_size) in chosen.items():
        for tokens in lengths:
            print(json.dumps(measure(name, settings, vocab_size, tokens, options)), flush=True)


if __name__ == "__main__":
    main()
