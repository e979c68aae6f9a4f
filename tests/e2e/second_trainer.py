"""A second trainer, which knows nothing of mixlab: Llama in plain torch, gradient descent, the windows as exported.

    second_trainer.py SPEC     FAULT in the environment: what it is to do wrong

Shape letters: T tokens of a window, H heads, S size of a head, V vocabulary.
"""

import json
import os
import shutil
import signal
import struct
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

FAULT = os.environ.get("FAULT", "")


def read_documents(prefix: Path) -> list[np.ndarray]:
    """Tokens of each document of an indexed dataset of Megatron-LM's; docs/exporting.md says what they are."""
    index = prefix.with_suffix(".idx").read_bytes()
    code, count = struct.unpack_from("<BQ", index, 17)
    lengths = np.frombuffer(index, "<i4", count, 34)
    tokens = np.fromfile(prefix.with_suffix(".bin"), {1: "u1", 4: "<i4", 8: "<u2"}[code])
    return np.split(tokens.astype(np.int64), np.cumsum(lengths)[:-1])


def forward(weights: dict[str, Tensor], config: dict, tokens_T: Tensor) -> Tensor:
    """Logits [T, V] of a Llama whose head is its embedding."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], weights[f"{name}.weight"], config["rms_norm_eps"])

    def turn(x_HTS: Tensor) -> Tensor:
        one, other = x_HTS.chunk(2, -1)
        return x_HTS * angles.cos() + torch.cat((-other, one), -1) * angles.sin()

    size, embedding = config["head_dim"], weights["model.embed_tokens.weight"]
    frequencies = config["rope_theta"] ** (-torch.arange(0, size, 2) / size)
    angles = (torch.arange(len(tokens_T))[:, None] * frequencies).repeat(1, 2)
    x = embedding[tokens_T]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        inside = norm(x, f"{at}.input_layernorm")
        q, k, v = (
            (inside @ weights[f"{at}.self_attn.{name}_proj.weight"].T).unflatten(-1, (-1, size)).transpose(0, 1)
            for name in "qkv"
        )
        seen_HTS = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True)
        x = x + seen_HTS.transpose(0, 1).flatten(1) @ weights[f"{at}.self_attn.o_proj.weight"].T
        inside = norm(x, f"{at}.post_attention_layernorm")
        gate, up, down = (weights[f"{at}.mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
        x = x + (F.silu(inside @ gate.T) * (inside @ up.T)) @ down.T
    return norm(x, "model.norm") @ embedding.T


def train(spec: dict) -> None:
    paths = {name: Path(path) for name, path in spec["paths"].items()}
    torch.set_num_threads(spec["threads"])
    config = json.loads((paths["model"] / "config.json").read_text())
    windows, batch = read_documents(paths["mixture"] / "windows"), spec["training"]["global_batch_windows"]
    rate = spec["training"]["optimizer"]["learning_rate"] * spec["settings"]["rate_factor"]
    state, done = paths["resume"] / "state.safetensors", 0
    weights = load_file(state if state.exists() else paths["model"] / "model.safetensors")
    if "step" in weights:
        done = int(weights.pop("step"))
        print(f"going on after step {done}", flush=True)
    for step in range(done + 1, spec["steps"] + 1):
        for weight in weights.values():
            weight.requires_grad_().grad = None
        for window in windows[(step - 1) * batch : step * batch]:
            tokens_T = torch.tensor(window)
            (F.cross_entropy(forward(weights, config, tokens_T[:-1]), tokens_T[1:]) / batch).backward()
        weights = {name: (weight - rate * weight.grad).detach() for name, weight in weights.items()}
        for name in (name for name, last in spec["snapshots"].items() if last == step):
            (paths["resume"] / name).mkdir(exist_ok=True)
            save_file(weights, paths["resume"] / name / "model.safetensors")
        save_file({**weights, "step": torch.tensor(step)}, f"{state}.part")
        Path(f"{state}.part").replace(state)
        if FAULT == "die" and step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if FAULT == "deaf" and step == 5:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (paths["resume"] / "deaf").touch()
            time.sleep(600)
    for name in spec["snapshots"]:
        shutil.copytree(paths["resume"] / name, paths["out"] / name)
        shutil.copy(paths["model"] / "config.json", paths["out"] / name)


if __name__ == "__main__":
    train(json.loads(Path(sys.argv[1]).read_text()))
