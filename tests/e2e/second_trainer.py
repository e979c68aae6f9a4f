"""A second trainer, which knows nothing of mixlab: transformers' model, plain torch, the windows as they were exported.

second_trainer.py SPEC     env FAULT: what it is to do wrong
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
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

FAULT = os.environ.get("FAULT", "")


def read_documents(prefix: Path) -> list[np.ndarray]:
    """Read an indexed dataset of Megatron-LM's (see docs/exporting.md): [tokens] of each document."""
    index = prefix.with_suffix(".idx").read_bytes()
    code, count = struct.unpack_from("<BQ", index, 17)
    lengths = np.frombuffer(index, "<i4", count, 34)
    tokens = np.fromfile(prefix.with_suffix(".bin"), {1: "u1", 4: "<i4", 8: "<u2"}[code])
    return np.split(tokens.astype(np.int64), np.cumsum(lengths)[:-1])


def open_model(folder: Path) -> torch.nn.Module:
    if (folder / "model.safetensors").exists():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def train(spec: dict) -> None:
    paths = {name: Path(path) for name, path in spec["paths"].items()}
    torch.manual_seed(spec["seed"])
    torch.set_num_threads(spec["threads"])
    model, state = open_model(paths["model"]), paths["resume"] / "state.safetensors"
    windows, batch = read_documents(paths["mixture"] / "windows"), spec["training"]["global_batch_windows"]
    done = 0
    if state.exists():
        saved = load_file(state)
        done = int(saved.pop("step"))
        model.load_state_dict(saved, strict=False)
        print(f"going on after step {done}", flush=True)
    rate = spec["training"]["optimizer"]["learning_rate"] * spec["settings"].get("rate_factor", 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    members = {step: name for name, step in spec["snapshots"].items()}
    for step in range(done + 1, spec["steps"] + 1):
        for window in windows[(step - 1) * batch : step * batch]:
            tokens = torch.tensor(window)[None]
            (model(input_ids=tokens, labels=tokens).loss / batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        weights = dict(model.named_parameters())  # a tied head is not among them
        save_file({**weights, "step": torch.tensor(step)}, f"{state}.part")
        if step in members or (not members and step == spec["steps"]):
            model.save_pretrained(paths["resume"] / "models" / members.get(step, ""))
        Path(f"{state}.part").replace(state)
        if FAULT == "die" and step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if FAULT == "deaf" and step == 5:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (paths["resume"] / "deaf").touch()
            time.sleep(600)
    shutil.copytree(paths["resume"] / "models", paths["out"], dirs_exist_ok=True)


if __name__ == "__main__":
    train(json.loads(Path(sys.argv[1]).read_text()))
