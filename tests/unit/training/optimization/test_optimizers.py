import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_fakes import child_environment

from mixlab.config.problems import DataError
from mixlab.config.training import AdamWSettings, MuonSettings
from mixlab.training.optimization.optimizers import OptimizerSet, orthogonalise

MUON = MuonSettings(name="muon", learning_rate=0.02, other_learning_rate=0.01, weight_decay=0.1)


def make_weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed_tokens": (7, 4), "q": (4, 4), "k": (4, 4), "up": (9, 4), "down": (4, 9), "norm": (4,)}
    return {name: torch.randn(shape, generator=generator).requires_grad_() for name, shape in shapes.items()}


def set_gradients(weights, seed):
    generator = torch.Generator().manual_seed(seed)
    for weight in weights.values():
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_adamw_takes_the_steps_of_torchs_own_and_decays_no_norm():
    ours, theirs = make_weights(), make_weights()
    optimizer = OptimizerSet(AdamWSettings(name="adamw", learning_rate=0.1, weight_decay=0.3), ours)
    matrices = [weight for weight in theirs.values() if weight.dim() == 2]
    groups = [{"params": matrices, "weight_decay": 0.3}, {"params": [theirs["norm"]], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.05, betas=(0.9, 0.95), fused=True)
    for seed in range(4):
        set_gradients(ours, seed)
        set_gradients(theirs, seed)
        optimizer.step(0.5)
        reference.step()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(weight.grad is None for weight in ours.values())


def test_orthogonalised_matrices_have_singular_values_near_one_whatever_their_form():
    for shape in ((3, 8, 8), (2, 5, 12), (2, 12, 5)):
        matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        values = torch.linalg.svdvals(orthogonalise(matrices))
        assert 0.3 < float(values.min()) <= float(values.max()) < 1.3


_AGAINST_TORCH = """
import torch
from test_optimizers import MUON, make_weights, set_gradients
from mixlab.training.optimization.optimizers import OptimizerSet
ours, theirs = make_weights(), make_weights()
optimizer = OptimizerSet(MUON, ours)
matrices = [theirs[name] for name in ("q", "k", "up", "down")]
reference = torch.optim.Muon(matrices, lr=0.02, momentum=0.95, weight_decay=0.1)
for seed in range(4):
    set_gradients(ours, seed), set_gradients(theirs, seed)
    optimizer.step(1.0), reference.step()
for name in ("q", "k", "up", "down"):
    torch.testing.assert_close(ours[name], theirs[name], atol=2e-3, rtol=0)
    assert not torch.equal(ours[name], make_weights()[name])
"""


def test_muon_takes_the_steps_of_torchs_own_up_to_its_bfloat16():
    # torch's Muon multiplies in bfloat16: without this variable some virtual CPUs die of SIGILL.
    environment = child_environment(ONEDNN_MAX_CPU_ISA="AVX512_CORE_BF16", OMP_NUM_THREADS="1")
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", _AGAINST_TORCH], env=environment, check=True)


def test_muon_moves_embeddings_and_norms_by_adamw():
    ours, theirs = make_weights(), make_weights()
    rest = {name: theirs[name] for name in ("embed_tokens", "norm")}
    muon = OptimizerSet(MUON, ours)
    plain = OptimizerSet(AdamWSettings(name="adamw", learning_rate=0.01, weight_decay=0.1), rest)
    set_gradients(ours, 1)
    set_gradients(theirs, 1)
    muon.step(1.0)
    plain.step(1.0)
    assert all(torch.equal(ours[name], rest[name]) for name in rest)


@pytest.mark.parametrize("settings", [AdamWSettings(name="adamw", learning_rate=0.1), MUON])
def test_a_state_taken_over_continues_with_the_same_bits(settings, tmp_path):
    ours = make_weights()
    optimizer = OptimizerSet(settings, ours)
    set_gradients(ours, 1)
    optimizer.step(1.0)
    copies = {name: weight.detach().clone().requires_grad_() for name, weight in ours.items()}
    resumed = OptimizerSet(settings, copies)
    resumed.load_state({name: tensor.clone() for name, tensor in optimizer.state().items()}, tmp_path)
    for one, weights in ((optimizer, ours), (resumed, copies)):
        set_gradients(weights, 2)
        one.step(1.0)
    assert all(torch.equal(ours[name], copies[name]) for name in ours)


def test_the_state_of_another_optimizer_is_refused(tmp_path):
    weights = make_weights()
    state = OptimizerSet(AdamWSettings(name="adamw", learning_rate=0.1), weights).state()
    with pytest.raises(DataError, match="another model or optimizer"):
        OptimizerSet(MUON, weights).load_state(state, tmp_path)
