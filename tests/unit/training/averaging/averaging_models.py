"""Model folders made up on the spot, and the mean of them as one would write it down in float32."""

import json

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from mixlab.config.averaging import AveragingSettings
from mixlab.training.averaging.mean import average


def put_model(folder, tensors, **config):
    """Write a model folder of one file."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: torch.as_tensor(tensor) for name, tensor in tensors.items()}, folder / "model.safetensors")
    return folder


def put_constants(folder, *values):
    """Write models of one weight, each the same number everywhere."""
    return [put_model(folder / f"last-{age:02d}", {"a": torch.full((2, 2), value)}) for age, value in enumerate(values)]


def run(models, out, base=None, every_steps=None, **settings):
    """Average and read what came out, as torch's tensors, with its configuration."""
    chosen = AveragingSettings.model_validate({"last": len(models)} | settings)
    average(models, out, chosen, base=base, every_steps=every_steps)
    found = {name: tensor for path in sorted(out.glob("*.safetensors")) for name, tensor in load_file(path).items()}
    return found, json.loads((out / "config.json").read_text())


def refer(tensors, coefficients, base=None, scale=None):
    """The mean of one tensor: float32 throughout, members in order, one division at the end."""
    total = tensors[0].float().numpy() * np.float32(coefficients[0])
    for tensor, coefficient in zip(tensors[1:], coefficients[1:], strict=True):
        total = total + tensor.float().numpy() * np.float32(coefficient)
    total = total / np.float32(np.sum(np.array(coefficients, np.float32), dtype=np.float64))
    if base is not None:
        origin = base.float().numpy()
        total = (total - origin) * np.float32(scale) + origin
    return torch.from_numpy(np.asarray(total))
