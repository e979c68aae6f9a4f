"""Averaging ten snapshots: memory and processor time, beside one cached read of the same bytes and a naive version.

    python performance/averaging.py
    python performance/averaging.py --quick

Each measurement is a process of its own with one thread. Own: the most anonymous memory (RssAnon, looked up every
5 ms); peak: the most resident memory that the kernel counted (VmHWM), mapped files and libraries included, so that no
moment between two look-ups is missed. CPU: user and system time of the call, imports left out. Read: the same files
read once into a buffer of 1 MiB, all in the page cache; it and the averages run in turn, and the ratio is the median of
the rounds. The uniform means are compared bit by bit with a float32 reference: each tensor of each model loaded by
safetensors' own library, added in order, divided once. Naive: all models loaded by torch, stacked, `mean`.

Limits: own <= 256 MiB for all of ours, and CPU <= 4 reads for the uniform mean of float32 snapshots. Leaves with 1
when one is missed or a bit differs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MEMBERS = 10
LIMIT_MIB, LIMIT_READS = 256, 4.0
BUFFER_BYTES = 1 << 20
MIB = 1 << 20

FORMS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "uniform, stored as bfloat16": {"dtype": "bfloat16"},
    "uniform, shards of 64 MB": {"shard_bytes": "64 MB"},
    "weighted": {"method": "weighted", "weights": list(range(MEMBERS, 0, -1))},
    "ema": {"method": "ema", "decay": "9/10"},
    "delta": {"delta_scale": "1/2"},
}
CHECKED = ("uniform", "uniform, shards of 64 MB")
READ, NAIVE = "one cached read", "naive: load, stack, mean"


def make_models(folder: Path, dtype: str, model_bytes: int) -> None:
    """Write a base model and its snapshots: an embedding of half of the numbers, and square matrices."""
    import torch
    from safetensors.torch import save_file

    elements = model_bytes // (4 if dtype == "float32" else 2)
    rows, width = elements // 2 // 1024, 1024
    shapes = {"model.embed_tokens.weight": (rows, width), "model.norm.weight": (width,)}
    shapes |= {f"model.layers.{layer}.mlp.up_proj.weight": (width, width) for layer in range(rows // width + 1)}
    generator = torch.Generator().manual_seed(0)
    for name in ["base", *(f"last-{age:02d}" for age in range(MEMBERS))]:
        (folder / name).mkdir(parents=True)
        weights = {key: torch.randn(shape, generator=generator) * 0.02 for key, shape in shapes.items()}
        cast = {key: one.to(getattr(torch, dtype)) for key, one in weights.items()}
        save_file(cast, folder / name / "model.safetensors", metadata={"format": "pt"})
        (folder / name / "config.json").write_text(json.dumps({"dtype": dtype}))


def list_members(folder: Path) -> list[Path]:
    """Folders of the snapshots, newest first."""
    return [folder / f"last-{age:02d}" for age in range(MEMBERS)]


def build_read(folder: Path) -> Callable[[], object]:
    """Prepare reading all snapshots once."""
    buffer = bytearray(BUFFER_BYTES)

    def read() -> None:
        for member in list_members(folder):
            with (member / "model.safetensors").open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    return read


def build_naive(folder: Path) -> Callable[[], object]:
    """Prepare the mean as one would write it down."""
    import torch
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(1)

    def naive() -> None:
        models = [load_file(member / "model.safetensors") for member in list_members(folder)]
        mean = {name: torch.stack([model[name].float() for model in models]).mean(0) for name in models[0]}
        (folder / "out").mkdir()
        save_file(mean, folder / "out/model.safetensors")

    return naive


def build_average(folder: Path, form: str) -> Callable[[], object]:
    """Prepare one of our averages."""
    from mixlab.config.averaging import AveragingSettings
    from mixlab.training.averaging.mean import average

    settings = AveragingSettings.model_validate({"last": MEMBERS, **FORMS[form]})
    base = folder / "base" if settings.delta_scale is not None else None
    return lambda: average(list_members(folder), folder / "out", settings, base=base, every_steps=1)


def _read_status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


class Own(threading.Thread):
    """Looks up now and then how much memory of this process is of no file."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mib = _read_status("RssAnon")
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.005):
            self.peak_mib = max(self.peak_mib, _read_status("RssAnon"))


def run_here(what: str, folder: Path) -> None:
    """Do one thing in this process and print its seconds and memory."""
    work = {READ: build_read, NAIVE: build_naive}.get(what, lambda where: build_average(where, what))(folder)
    before_mib = _read_status("RssAnon")
    own = Own()
    own.start()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    own.done.set()
    own.join()
    memory = {"before_mib": before_mib, "own_mib": own.peak_mib, "peak_mib": _read_status("VmHWM")}
    print(json.dumps(found | memory))


def run_there(what: str, folder: Path) -> dict[str, float]:
    """Do one thing in a process of its own."""
    command = [sys.executable, __file__, "--what", what, "--folder", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def count_wrong_bits(folder: Path) -> int:
    """Count the numbers of the mean in `out` whose bits are not those of the reference."""
    from safetensors import safe_open

    shards = [safe_open(path, framework="pt") for path in sorted((folder / "out").glob("*.safetensors"))]
    members = [safe_open(member / "model.safetensors", framework="pt") for member in list_members(folder)]
    assert {name for shard in shards for name in shard.keys()} == set(members[0].keys())  # noqa: SIM118
    wrong = 0
    for shard in shards:
        for name in shard.keys():  # noqa: SIM118
            total = members[0].get_tensor(name).float().numpy().copy()
            for member in members[1:]:
                total += member.get_tensor(name).float().numpy()
            total /= np.float32(MEMBERS)
            wrong += int((shard.get_tensor(name).numpy().view(np.uint32) != total.view(np.uint32)).sum())
    return wrong


def clear(out: Path) -> None:
    """Remove a result."""
    for path in out.glob("*"):
        path.unlink()
    if out.exists():
        out.rmdir()


def compare(dtype: str, folder: Path, rounds: int) -> bool:
    """Print the table for snapshots of one dtype; return whether every limit was kept."""
    size = sum((member / "model.safetensors").stat().st_size for member in list_members(folder))
    print(f"\n{MEMBERS} snapshots in {dtype}, {size / MEMBERS / 1e6:.0f} MB each; {rounds} rounds, medians")
    found: dict[str, list[dict[str, float]]] = {}
    is_kept = True
    for _ in range(rounds):
        for what in (READ, *FORMS, NAIVE):
            found.setdefault(what, []).append(run_there(what, folder))
            if what in CHECKED and len(found[what]) == 1:
                wrong = count_wrong_bits(folder)
                is_kept &= wrong == 0
                print(f"{what}: {wrong} numbers differ from the float32 reference")
            clear(folder / "out")
    print(f"{'':30}{'CPU s':>8}{'of a read':>11}{'wall s':>8}{'own MiB':>9}{'peak MiB':>10}{'imports MiB':>13}")
    for what, runs in found.items():
        reads = statistics.median(run["cpu"] / read["cpu"] for run, read in zip(runs, found[READ], strict=True))
        own = max(run["own_mib"] for run in runs)
        told = [statistics.median(run[name] for run in runs) for name in ("cpu", "wall", "before_mib")]
        peak = max(run["peak_mib"] for run in runs)
        is_above = what not in (READ, NAIVE) and own > LIMIT_MIB
        is_above |= what == "uniform" and dtype == "float32" and reads > LIMIT_READS
        is_kept &= not is_above
        line = f"{what:30}{told[0]:8.3f}{reads:11.2f}{told[1]:8.2f}{own:9.0f}{peak:10.0f}{told[2]:13.0f}"
        print(line + ("  ABOVE" if is_above else ""), flush=True)
    return is_kept


def main() -> None:
    """Make the snapshots, average them in every form, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="snapshots of 20 MB, 2 rounds")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run, in turn (default 5)")
    parser.add_argument("--what", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where to make the snapshots (default: a temporary folder)")
    asked = parser.parse_args()
    if asked.what:
        run_here(asked.what, asked.folder)
        return
    is_kept = True
    for dtype in ("float32", "bfloat16"):
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            make_models(Path(folder), dtype, (20 if asked.quick else 190) * 1_000_000)
            is_kept &= compare(dtype, Path(folder), 2 if asked.quick else asked.rounds)
    raise SystemExit(0 if is_kept else 1)


if __name__ == "__main__":
    main()
