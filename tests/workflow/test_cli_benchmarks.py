"""`mixlab check-benchmarks`: what holds, what is not here, and how mistakes are told."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from checkouts import CONFIG, REPOSITORY, copy_checkout, run_python
from click.testing import Result

from mixlab.cli import _workers, check_benchmarks
from mixlab.config.benchmarks import load_declaration
from mixlab.config.machine import MachineSettings

Invoke = Callable[..., Result]


def declare(file: str) -> dict[str, object]:
    fields = {"item": {"question": "{question}", "answer": "{answer}"}}
    origin = {"type": "files", "root": "own", "paths": [file], "format": "jsonl", "fields": fields}
    return {"kind": "benchmark", "licence": "MIT", "origin": origin}


@pytest.fixture
def registered(micro: Path) -> Path:
    """A folder with a registry of three benchmarks: one that is right, one that is not here, one with a bad item."""
    files = {"gsm8k": "sums.jsonl", "mgsm_ja": "nowhere.jsonl", "naturalquestions": "facts.jsonl"}
    sources = {f"{name}_items": declare(file) for name, file in files.items()}
    (micro / "studies/benchmarks").mkdir()
    (micro / "studies/benchmarks/sources.yaml").write_text(json.dumps({"sources": sources}))
    (micro / "config.yaml").write_text(f"{CONFIG}    own: own\n")
    sums = [{"question": f"{n} + 1?", "answer": f"so #### {n + 1}"} for n in range(70)]
    facts = [{"question": "where", "answer": ["Paris", "the city of Paris"]}, {"question": "who", "answer": ["The"]}]
    (micro / "own").mkdir()
    for name, items in (("sums", sums), ("facts", facts)):
        (micro / f"own/{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return micro


def test_what_is_here_is_checked_and_what_is_not_is_named(registered: Path, invoke: Invoke) -> None:
    done = invoke("check-benchmarks", "gsm8k", "mgsm_ja")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].split() == ["gsm8k", "70", "70", "0", "0", "yes"]
    assert "mgsm_ja was not checked" in done.stdout
    assert "no file matches 'nowhere.jsonl'" in done.stdout
    card = json.loads(invoke("check-benchmarks", "gsm8k", "mgsm_ja", "--json").stdout)
    assert card["checked"]["gsm8k"]["holds"] is True
    assert set(card["not_checked"]) == {"mgsm_ja"}


def test_a_reference_that_no_response_can_equal_leaves_with_1(registered: Path, invoke: Invoke) -> None:
    done = invoke("check-benchmarks")
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("naturalquestions")]
    assert line.split() == ["naturalquestions", "2", "1", "0", "0", "NO"]


def test_nothing_to_check_and_an_unknown_name_leave_with_2(registered: Path, invoke: Invoke) -> None:
    done = invoke("check-benchmarks", "mgsm_ja")
    assert done.exit_code == 2
    assert "no file matches" in done.stderr
    done = invoke("check-benchmarks", "gsm8")
    assert done.exit_code == 2
    assert "did you mean 'gsm8k'" in done.stderr


def test_a_studys_own_benchmarks_are_checked_those_that_are_generated_too(micro: Path, invoke: Invoke) -> None:
    done = invoke("check-benchmarks", "--study", "micro")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].split() == ["demo_math_en", "8", "8", "0", "0", "yes"]


Room = Callable[..., None]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Sets how many processors there are, how much memory is free, and what limits (limit, use) cgroups have."""

    def lay(processors: int, free_mib: int, cgroups: Mapping[str, tuple[str, int]], own: str = "0::/a/b\n") -> None:
        memory, listed = tmp_path / "meminfo", tmp_path / "cgroup"
        memory.write_text(f"MemTotal: 1 kB\nMemAvailable:   {free_mib * 1024} kB\nBuffers: 5 kB\n")
        listed.write_text(own)
        for name, (limit, used) in cgroups.items():
            (tmp_path / "cgroups" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "cgroups" / name / "memory.max").write_text(f"{limit}\n")
            (tmp_path / "cgroups" / name / "memory.current").write_text(f"{used * 2**20}\n")
        places = {"MEMORY": memory, "OWN_CGROUP": listed, "CGROUPS": tmp_path / "cgroups"}
        for name, place in places.items():
            monkeypatch.setattr(_workers, name, place)
        monkeypatch.setattr(_workers.os, "sched_getaffinity", lambda process: range(processors))

    return lay


def mib(count: int) -> str:
    return str(count * 2**20)


@pytest.mark.parametrize(
    ("processors", "free_mib", "cgroups", "workers"),
    [
        (8, 64_000, {}, 8),
        (64, 2_200, {}, 4),
        (64, 100, {}, 1),
        (64, 64_000, {"a/b": (mib(2_000), 900)}, 2),
        (64, 64_000, {"": (mib(4_000), 1_000), "a": (mib(3_000), 900), "a/b": ("max", 900)}, 4),
        (64, 64_000, {"": (mib(2_000), 900), "a/b": ("max", 900)}, 2),
        (64, 64_000, {"a/b": (mib(500), 900)}, 1),
        (64, 1_100, {"a/b": (mib(9_000), 0), "c": (mib(1), 0)}, 2),
    ],
)
def test_no_more_programs_run_at_a_time_than_processors_and_memory_allow(
    processors: int, free_mib: int, cgroups: Mapping[str, tuple[str, int]], workers: int, room: Room
) -> None:
    room(processors, free_mib, cgroups)
    machine = MachineSettings(sandbox_workers=1000)
    assert check_benchmarks._count_workers(load_declaration("humaneval"), machine) == workers
    assert check_benchmarks._count_workers(load_declaration("gsm8k"), machine) == processors


def test_a_cgroup_of_version_1_alone_says_nothing(room: Room) -> None:
    room(64, 2_200, {"a/b": (mib(600), 0)}, own="4:memory:/a/b\n")
    assert _workers.bound_workers(1000, 512 * 2**20) == 4


def test_a_benchmark_is_checked_by_as_many_workers_as_the_machine_has_room_for(
    registered: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, room: Room
) -> None:
    room(6, 100, {})
    (registered / "config.yaml").write_text(f"{CONFIG}    own: own\n  sandbox_workers: 1000\n")
    given = []
    checked = check_benchmarks.check_references

    def check(*arguments: Any, workers: int, **named: Any) -> Any:
        given.append(workers)
        return checked(*arguments, workers=1, **named)

    monkeypatch.setattr(check_benchmarks, "check_references", check)
    assert invoke("check-benchmarks", "gsm8k").exit_code == 0
    assert given == [6]
    told = " ".join(invoke("check-benchmarks", "--help").stdout.split())
    assert "no more than this process has processors, and than there is free memory" in told
    assert "a cgroup (version 2) limits this process" in told


@pytest.mark.shared
@pytest.mark.long
def test_every_reference_solution_passes_and_every_spoiled_one_fails(tmp_path: Path, shared_data: Path) -> None:
    root = copy_checkout(tmp_path / "copy")
    shutil.copytree(REPOSITORY / "studies/benchmarks", root / "studies/benchmarks")
    machine = f"{{data_roots: {{shared: {shared_data}}}, sandbox_workers: 2}}"
    (root / "config.yaml").write_text(f"study: micro\nmachine: {machine}\n")
    done = run_python(root, "-m", "mixlab.cli", "check-benchmarks", "--json", timeout=600)
    assert done.returncode == 0, done.stderr
    checked = json.loads(done.stdout)["checked"]
    assert {name: (card["items"], card["reference_right"]) for name, card in checked.items()} == {
        "boolq": (3270, 3270),
        "gsm8k": (1319, 1319),
        "humaneval": (164, 164),
        "jhumaneval": (164, 163),
        "jhumaneval, repaired": (164, 164),
        "mbpp": (974, 974),
        "mgsm_ja": (250, 250),
    }
    assert [name for name, card in checked.items() if card["spoiled_right"]] == []
