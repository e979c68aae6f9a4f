"""`mixlab drift`: what changed code made, what was made under unlike conditions, and what it says and leaves with."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mixlab.artifacts.code import PACKAGE, CodeHistory, list_code, write_code
from mixlab.artifacts.keys import build_digest
from mixlab.artifacts.manifest import write_manifest
from mixlab.artifacts.provenance import read_provenance, write_provenance
from mixlab.artifacts.store import Store, write_json
from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.drift import list_shared
from mixlab.plan.graph import Node

Invoke = Callable[..., Result]


def make(root: Path, node: Node, text: str = "bytes", **changes: Any) -> None:
    """Make an artifact as the code that is here would, and say of it what `changes` say instead."""
    store = Store(root)
    folder = store.folder(*node.name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file.txt").write_text(text)
    parents = {role: list(references) for role, references in node.parents.items()}
    manifest = write_manifest(folder, *node.name, to_plain(node.spec), parents)
    path = write_provenance(store, manifest, node.label, 1.0, "bytes", {})
    if changes:
        path.unlink()
        record = read_record(path, store, node, manifest.digest) | changes
        write_json(path.with_name(f"{len(list(path.parent.iterdir()))}.json"), record)


def read_record(path: Path, store: Store, node: Node, digest: str) -> dict[str, Any]:
    return {
        "stage": node.stage,
        "key": node.key,
        "digest": digest,
        "code_digest": write_code(store, list_code()),
        "versions": {"torch": "2.13.0"},
        "platform": "x86_64",
        "commit": "",
        "finished": f"2026-01-0{len(list(path.parent.iterdir())) + 1}",
    }


@pytest.fixture
def trained(micro: Path) -> list[Node]:
    """The two IPT runs of the micro study, made by the code that is here."""
    nodes = build_plan(micro, check_files=False).plan.by_stage("ipt")
    for node in nodes:
        make(micro, node, versions={"torch": "2.13.0"})
    return nodes


def find(invoke: Invoke, *arguments: str) -> dict[str, Any]:
    result = invoke("drift", "--json", *arguments)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def alter(**files: str) -> dict[str, str]:
    """The code that is here, as if some of its files had been others."""
    return {**list_code(), **{f"mixlab/{name}.py".replace("__", "/"): digest * 64 for name, digest in files.items()}}


def test_what_the_code_that_is_here_made_has_not_drifted(trained: list[Node], invoke: Invoke) -> None:
    found = find(invoke)
    assert (found["looked_at"], found["findings"], found["drifts"], found["unknown"]) == (2, 0, [], [])
    assert invoke("drift", "--strict").exit_code == 0


def test_changed_code_of_a_stage_is_told_with_its_files_and_the_artifacts_it_made(
    trained: list[Node], micro: Path, invoke: Invoke
) -> None:
    digest = write_code(Store(micro), alter(training__loop="a", config__machine="b"))
    make(micro, trained[0], code_digest=digest, commit="c" * 40)
    (path,) = (one for one in (micro / "provenance/ipt" / trained[0].key).iterdir() if "c" * 40 not in one.read_text())
    path.unlink()
    (drift,) = find(invoke)["drifts"]
    assert drift["artifacts"] == [{"stage": "ipt", "key": trained[0].key}]
    assert drift["commits"] == ["c" * 40]
    assert list(drift["own_files"]) == ["mixlab/training/loop.py"]
    assert list(drift["shared_files"]) == ["mixlab/config/machine.py"]
    result = invoke("drift", "--strict")
    assert result.exit_code == 1
    assert "mixlab/training/loop.py" in result.stdout
    assert "1 finding." in result.stdout


@pytest.mark.parametrize("file", ["stages__training", "stages__node", "plan__lineage", "artifacts__runs_gone"])
def test_a_file_that_only_some_stages_load_is_a_finding_wherever_it_stands(
    trained: list[Node], micro: Path, invoke: Invoke, file: str
) -> None:
    digest = write_code(Store(micro), alter(**{file: "a"}))
    for node in trained:
        for path in (micro / "provenance/ipt" / node.key).iterdir():
            path.unlink()
        make(micro, node, code_digest=digest)
    result = invoke("drift", "--strict")
    assert result.exit_code == 1
    assert f"mixlab/{file.replace('__', '/')}.py" in result.stdout


def test_files_that_every_stage_loads_are_told_apart_and_are_no_finding(
    trained: list[Node], micro: Path, invoke: Invoke
) -> None:
    digest = write_code(Store(micro), alter(config__machine="b", stages__doorway="c"))
    for node in trained:
        for path in (micro / "provenance/ipt" / node.key).iterdir():
            path.unlink()
        make(micro, node, code_digest=digest)
    result = invoke("drift", "--strict")
    assert result.exit_code == 0
    assert "Of 2 artifacts only files changed that every stage loads:" in result.stdout


@pytest.mark.parametrize(
    ("old", "finding"),
    [(("return self.passes", "return 2 * self.passes"), True), (("import ceil", "import ceil  # up"), False)],
    ids=["formula", "comment"],
)
def test_a_formula_in_config_that_a_stage_computes_by_is_a_finding(
    trained: list[Node],
    micro: Path,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    old: tuple[str, str],
    finding: bool,
) -> None:
    text = (PACKAGE / "config/training.py").read_text()
    assert old[0] in text
    before = text.replace(*old).encode()
    find_now = CodeHistory._find_old
    monkeypatch.setattr(
        CodeHistory,
        "_find_old",
        lambda self, name, digest, commits: (
            before if digest == build_digest(before) else find_now(self, name, digest, commits)
        ),
    )
    loop = {"mixlab/training/run.py": build_digest((PACKAGE / "training/run.py").read_bytes())}
    code = {**list_code(), **loop, "mixlab/config/training.py": build_digest(before)}
    for node in trained:
        for path in (micro / "provenance/ipt" / node.key).iterdir():
            path.unlink()
        make(micro, node, code_digest=write_code(Store(micro), code))
    result = invoke("drift", "--strict")
    assert result.exit_code == finding, result.stdout
    assert ("mixlab/config/training.py (TrainSettings.count_passes, used by mixlab/" in result.stdout) == finding


def test_what_the_present_code_made_as_well_has_not_drifted(trained: list[Node], micro: Path, invoke: Invoke) -> None:
    make(micro, trained[0], code_digest=write_code(Store(micro), alter(training__loop="a")))
    found = find(invoke)
    assert found["drifts"] == []
    assert len(read_provenance(Store(micro), *trained[0].name)) == 2


def test_what_has_no_card_or_no_provenance_is_said_not_to_be_known(
    trained: list[Node], micro: Path, invoke: Invoke
) -> None:
    for path in (micro / "provenance/code").iterdir():
        path.unlink()
    for path in (micro / "provenance/ipt" / trained[1].key).iterdir():
        path.unlink()
    found = find(invoke)
    assert {one["why"].partition(":")[0]: len(one["artifacts"]) for one in found["unknown"]} == {
        "its provenance names no files": 1,
        "no provenance says who made it": 1,
    }


def test_versions_and_devices_mixed_within_a_study_and_within_a_key_are_told(
    trained: list[Node], micro: Path, invoke: Invoke
) -> None:
    make(micro, trained[0], versions={"torch": "2.12.0"}, facts={"device": "H100", "mfu": "0.4"}, finished="2027")
    found = find(invoke)
    study = {one["condition"]: [value["value"] for value in one["values"]] for one in found["mixed"]}
    assert study == {"torch": ["2.12.0", "2.13.0"]}
    assert {(one["what"], one["condition"]) for one in found["remade"]} == {(f"key {trained[0].key}", "torch")}
    told = invoke("drift", "--strict")
    assert told.exit_code == 1
    assert "2.12.0 (1), 2.13.0 (1)" in told.stdout


def test_a_record_of_other_bytes_than_those_that_are_here_is_not_theirs(
    trained: list[Node], micro: Path, invoke: Invoke
) -> None:
    make(micro, trained[0], digest="e" * 64, versions={"torch": "2.12.0"}, finished="2027")
    found = find(invoke)
    assert (found["mixed"], found["remade"]) == ([], [])


def test_all_looks_at_what_no_study_asks_for_unless_another_version_made_it(
    trained: list[Node], micro: Path, invoke: Invoke
) -> None:
    old = write_code(Store(micro), alter(training__loop="a"))
    for key, version in (("1" * 16, 1), ("2" * 16, 99)):
        stray = Node("ipt", key, trained[0].spec.model_copy(update={"version": version}), {}, {}, key)
        make(micro, stray, code_digest=old)
    assert find(invoke)["drifts"] == []
    (drift,) = find(invoke, "--all")["drifts"]
    assert drift["artifacts"] == [{"stage": "ipt", "key": "1" * 16}]


def test_an_unknown_study_is_a_mistake(micro: Path, invoke: Invoke) -> None:
    result = invoke("drift", "mikro")
    assert result.exit_code == 2
    assert "did you mean 'micro'" in result.stderr


def test_what_every_stage_loads_is_what_the_door_of_stages_really_loads() -> None:
    asks = "import json, mixlab.stages.doorway, mixlab.artifacts.code as code; print(json.dumps(code.list_code()))"
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert list_shared() <= loaded
    assert {file for file in loaded - list_shared() if file.endswith(".py")} == set()
    assert "mixlab/stages/doorway.py" in list_shared()
    assert "mixlab/stages/training.py" not in list_shared()
