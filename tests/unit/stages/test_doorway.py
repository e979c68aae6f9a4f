"""The way into every stage: what is published, what is refused, how mistakes and bugs are told."""

import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from labs import DIGEST, SNAPSHOTS, Lab, bug, build_lab, mistake, write_spec

from mixlab.artifacts.attempts import list_attempts
from mixlab.artifacts.elapsed import elapsed_path
from mixlab.artifacts.locks import hold_lock
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.store import Store
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import DataError
from mixlab.plan import specs
from mixlab.plan.canonical import to_plain
from mixlab.plan.planfile import read_plan, render_plan
from mixlab.stages import doorway
from mixlab.stages.job import Inputs


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab in the current folder, as a job finds it."""
    root = tmp_path / "working folder 作業"
    root.mkdir()
    monkeypatch.chdir(root)
    return build_lab(root)


def test_what_a_host_wrote_is_published_with_its_spec_and_its_parents(lab: Lab) -> None:
    first, second, _ = lab.averages
    lab.make(write_spec, first, second)
    manifest = read_manifest(lab.store.open("average", second.key))
    assert [file.path for file in manifest.files] == ["spec.json"]
    assert manifest.spec == to_plain(second.spec)
    assert manifest.parents == {"snapshots": [f"{lab.ipt.key}:last-00", f"{lab.ipt.key}:last-01"]}
    assert lab.is_made(first)
    assert not (lab.store.work / "average" / first.key).exists()


def test_a_host_is_given_verified_folders_in_order_and_the_machine_of_the_plan(lab: Lab) -> None:
    given: list[Inputs] = []
    lab.make(lambda spec, inputs, out: (given.append(inputs), write_spec(spec, inputs, out))[1], lab.averages[1])
    (inputs,) = given
    ipt = lab.store.folder(*lab.ipt.name)
    assert inputs.all("snapshots") == (ipt / "last-00", ipt / "last-01")
    assert inputs.specs["snapshots"] == (lab.ipt.spec, lab.ipt.spec)
    assert (inputs.threads, inputs.machine.micro_batch_windows) == (3, 5)
    assert inputs.located([DIGEST]) == [(DIGEST, Path("/data/texts.jsonl"))]
    with pytest.raises(
        DataError, match=f"平均 2: no data root holds the file with digest {'1' * 64}; run `mixlab lock`"
    ):
        inputs.located(["1" * 64])


def test_provenance_names_the_commit_at_which_the_process_began(lab: Lab) -> None:
    identity = ("-c", "user.name=A Person", "-c", "user.email=person@example.org", "-c", "gc.auto=0")

    def commit() -> str:
        subprocess.run(["git", "add", "sample.txt"], check=True)
        subprocess.run(["git", *identity, "commit", "--quiet", "--message", "one"], check=True)
        return subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    subprocess.run(["git", "init", "--quiet"], check=True)
    Path("sample.txt").write_text("one")
    begun = commit()

    def pull_while_it_runs(spec: Any, inputs: Inputs, out: Path) -> None:
        write_spec(spec, inputs, out)
        Path("sample.txt").write_text("two")
        assert commit() != begun

    lab.make(pull_while_it_runs, lab.averages[0])
    (record,) = read_provenance(lab.store, *lab.averages[0].name)
    assert record["commit"] == begun


def child_environment() -> dict[str, str]:
    """The environment of a child that imports what this process does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}


def test_an_attempt_is_noted_until_it_succeeds(lab: Lab) -> None:
    first = lab.averages[0]
    with pytest.raises(SystemExit):
        lab.make(mistake, first)
    (attempt,) = list_attempts(lab.store, ["average"])
    assert (attempt.name, attempt.error) == (first.name, "texts.jsonl: record 3: no field `text`; mend it")
    lab.make(write_spec, first)
    assert list_attempts(lab.store, ["average"]) == []


@pytest.mark.parametrize(("host", "code"), [("mistake", 2), ("bug", 1)])
def test_a_users_mistake_is_one_line_and_exit_code_2_and_a_bug_is_a_traceback(lab: Lab, host: str, code: int) -> None:
    program = f"from labs import doorway, {host}; doorway.main('average', {host})"
    command = [sys.executable, "-c", program, "--plan", str(lab.plan_file), "--key", lab.averages[0].key]
    env = child_environment()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == code
    assert done.stdout == ""
    told = "mixlab: texts.jsonl: record 3: no field `text`; mend it\n"
    assert (done.stderr == told) == (host == "mistake")
    assert ("Traceback" in done.stderr, "ZeroDivisionError: a bug" in done.stderr) == (host == "bug",) * 2
    lab.assert_nothing_is_left(lab.averages[0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_mistake_is_told_on_the_terminal_where_the_log_cannot_be_written(lab: Lab) -> None:
    program = "from labs import doorway, mistake; doorway.main('average', mistake)"
    command = [sys.executable, "-c", program, "--plan", str(lab.plan_file), "--key", lab.averages[0].key]
    env = child_environment()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (2, "mixlab: texts.jsonl: record 3: no field `text`; mend it\n")


def test_nothing_is_published_on_failure_and_what_was_kept_for_resuming_is_there_next_time(lab: Lab) -> None:
    node = lab.averages[0]
    found: list[list[str]] = []

    def stop_half_way(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
        found.append(sorted(path.name for folder in (inputs.resume, out) for path in folder.iterdir()))
        (inputs.resume / "state").write_text("step 3")
        bug(spec, inputs, out)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            lab.make(stop_half_way, node)
        lab.assert_nothing_is_left(node)
    assert found == [[], ["state"]]
    lab.make(write_spec, node)
    assert [file.path for file in read_manifest(lab.store.folder(*node.name)).files] == ["spec.json"]
    assert not (lab.store.work / "average" / node.key).exists()


def test_a_signal_while_one_is_published_ends_the_job_before_the_next_and_not_after_the_last(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = lab.averages
    came: list[int] = []
    write = doorway.write_provenance
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))

    def write_signalled(*given: Any, **named: Any) -> None:
        write(*given, **named)
        signal.raise_signal(signal.SIGTERM)

    try:
        lab.make(write_spec, first)
        monkeypatch.setattr(doorway, "write_provenance", write_signalled)
        lab.make(write_spec, second)
        assert (came, lab.is_made(second)) == ([], True)
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
        lab.store.folder(*second.name).rename(lab.store.root / "elsewhere")
        with pytest.raises(SystemExit) as caught:
            lab.make(write_spec, second, third)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 143
    assert (lab.is_made(second), lab.is_made(third)) == (True, False)


@pytest.mark.parametrize("is_one_model", [True, False])
def test_a_failure_keeps_what_is_made_and_holds_up_its_own_model_alone(lab: Lab, is_one_model: bool) -> None:
    first, second, third = lab.averages
    made: list[str] = []
    if is_one_model:
        known = read_plan(lab.plan_file)
        for node in lab.averages:
            known.plan.nodes[node.key].group = first.key
        lab.plan_file.write_text(render_plan(known.plan, known.machine, known.files, known.parameters))

    def run(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
        made.append(inputs.node.key)
        (mistake if inputs.node.key == second.key and made.count(second.key) == 1 else write_spec)(spec, inputs, out)

    lab.fail(run, first, second, third)
    assert [lab.is_made(node) for node in lab.averages] == [True, False, not is_one_model]
    lab.make(run, first, second, third)
    assert made == [first.key, second.key, *((second.key, third.key) if is_one_model else (third.key, second.key))]
    assert all(map(lab.is_made, lab.averages))


def test_of_several_models_each_failure_is_logged_and_the_first_decides_how_the_job_ends(
    lab: Lab, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = lab.averages

    def run(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
        {first.key: mistake, second.key: bug, third.key: write_spec}[inputs.node.key](spec, inputs, out)

    lab.fail(run, first, second, third)
    assert [lab.is_made(node) for node in lab.averages] == [False, False, True]
    told = [(record.getMessage(), record.exc_info is not None) for record in caplog.records if "failed" in record.msg]
    assert told == [
        (f"average {first.key} (平均 1) failed: texts.jsonl: record 3: no field `text`; mend it", False),
        (f"average {second.key} (平均 2) failed: a bug", True),
    ]
    assert capsys.readouterr().err.endswith("mixlab: texts.jsonl: record 3: no field `text`; mend it\n")
    with pytest.raises(ZeroDivisionError):
        lab.make(run, second, third)
    assert {attempt.name for attempt in list_attempts(lab.store, ["average"])} == {first.name, second.name}


def test_a_model_that_failed_leaves_its_memory_and_its_start_to_the_next(lab: Lab) -> None:
    first, second, _ = lab.averages

    class Weights:
        """Of a circle, as the modules of a model are."""

        def __init__(self) -> None:
            self.own = self

    seen: list[weakref.ref[Weights]] = []

    def run(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
        weights = Weights()
        if inputs.node.key == second.key:
            assert [one() for one in seen] == [None]
            write_spec(spec, inputs, out)
            return
        seen.append(weakref.ref(weights))
        try:
            bug(spec, inputs, out)
        except ZeroDivisionError as error:
            raise DataError(f"of {weights}") from error

    lab.fail(run, first, second)
    assert lab.is_made(second)
    (provenance,) = lab.list_provenance(second)
    assert "start_seconds" in json.dumps(provenance)


def test_a_job_that_is_told_to_end_makes_no_other_model(lab: Lab) -> None:
    first, second, _ = lab.averages

    def end(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
        raise SystemExit(143)

    with pytest.raises(SystemExit) as caught:
        lab.make(end, first, second)
    assert (caught.value.code, lab.is_made(second)) == (143, False)


def test_a_whole_artifact_is_skipped_though_nothing_above_it_is_here(lab: Lab) -> None:
    node = lab.averages[0]
    lab.make(write_spec, node)
    before = lab.store.manifest_path(*node.name).stat().st_mtime_ns
    lab.store.folder(*lab.ipt.name).rename(lab.store.root / "aside")
    lab.make(bug, node)
    assert lab.store.manifest_path(*node.name).stat().st_mtime_ns == before
    assert len(lab.list_provenance(node)) == 1


def test_provenance_says_who_where_and_how_and_holds_no_value_of_the_environment(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = lab.averages[1]
    variables = {name: f"a secret of {name}" for name in ("LAB_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "HOME")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    lab.make(write_spec, node)
    (record,) = lab.list_provenance(node)
    assert record["machine"] == {
        "threads": 3,
        "micro_batch_windows": 5,
        "generation_batch": MachineSettings().generation_batch,
        "gpus": 0,
        "kernels": MachineSettings().kernels.model_dump(mode="json"),
    }
    facts = {name: record[name] for name in ("stage", "key", "label", "host", "reproducible")}
    identity = {"stage": "average", "key": node.key, "label": "平均 2"}
    assert facts == {**identity, "host": socket.gethostname(), "reproducible": "bytes"}
    assert record["digest"] == read_manifest(lab.store.folder(*node.name)).digest
    assert [name for name, value in variables.items() if value in json.dumps(record)] == []


def test_facts_of_a_run_go_to_provenance_alone_and_are_told_to_those_below(lab: Lab) -> None:
    first, second, _ = lab.averages
    told: list[list[Mapping[str, str]]] = []

    def measure(spec: specs.Spec, inputs: Inputs, out: Path) -> dict[str, str]:
        write_spec(spec, inputs, out)
        return {"sandbox": "a shed 小屋"}

    def listen(spec: specs.Spec, inputs: Inputs, out: Path) -> None:
        write_spec(spec, inputs, out)
        told.extend(list(inputs.facts_of(node)) for node in (first, lab.ipt))

    lab.make(measure, first)
    lab.make(listen, second)
    (record,) = lab.list_provenance(first)
    assert record["facts"] == {"sandbox": "a shed 小屋"}
    assert "小屋" not in (lab.store.folder(*first.name) / "manifest.json").read_text()
    assert told == [[{"sandbox": "a shed 小屋"}], []]
    (plain,) = lab.list_provenance(second)
    assert "facts" not in plain


def test_provenance_has_what_the_attempts_before_took(lab: Lab) -> None:
    node = lab.averages[0]
    for host in (bug, mistake):
        with pytest.raises((ZeroDivisionError, SystemExit)):
            lab.make(host, node)
    lab.make(write_spec, node)
    (record,) = read_provenance(lab.store, *node.name)
    (earlier,) = record["earlier"]
    assert {**earlier, "seconds": 0} == {"seconds": 0, "gpus": 0, "processes": 1, "attempts": 2}
    assert not elapsed_path(lab.store, node.name).exists()
    lab.make(write_spec, lab.averages[1])
    assert "earlier" not in lab.list_provenance(lab.averages[1])[0]


def test_a_parent_that_is_absent_is_refused_and_the_cure_named(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.store.folder(*lab.ipt.name).rename(lab.store.root / "aside")
    lab.fail(bug, lab.averages[0])
    told = f"mixlab: ipt {lab.ipt.key}: not here; run snakemake for it, or `mixlab restore {lab.ipt.key}`\n"
    assert capsys.readouterr().err == told
    lab.assert_nothing_is_left(lab.averages[0])


def test_what_is_only_read_must_be_here_as_well(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.store.folder(*lab.ipt.name).rename(lab.store.root / "aside")
    lab.fail(bug, lab.ipt, stage="ipt")
    assert f"pack {lab.pack.key}: not here" in capsys.readouterr().err


def test_a_damaged_parent_is_refused_before_the_host_runs(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    path = lab.store.folder(*lab.ipt.name) / "last-01/model.bin"
    path.write_bytes(path.read_bytes().replace(b"w", b"v"))
    lab.fail(bug, lab.averages[1])
    told = capsys.readouterr().err
    assert f"{path}: its digest is not the manifest's" in told
    assert f"run `mixlab verify --repair {lab.ipt.key}`" in told
    lab.assert_nothing_is_left(lab.averages[1])
    lab.make(write_spec, lab.averages[0])


def test_each_parent_is_verified_once_for_all_that_a_process_makes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_whole = Store.open

    def note(store: Store, stage: str, reference: str) -> Path:
        opened.append(reference.partition(":")[2])
        return open_whole(store, stage, reference)

    monkeypatch.setattr(Store, "open", note)
    lab.make(write_spec, *lab.averages)
    assert sorted(opened) == list(SNAPSHOTS)


@pytest.mark.parametrize("stage", ["ipt", "average"])
def test_a_key_that_the_plan_does_not_have_for_this_stage_is_refused(
    lab: Lab, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node = {"ipt": lab.averages[0], "average": lab.ipt}[stage]
    lab.fail(bug, node, stage=stage)
    assert capsys.readouterr().err == f"mixlab: {stage} {node.key}: not in {lab.plan_file}\n"


def test_a_host_that_writes_nothing_is_refused(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.fail(lambda spec, inputs, out: None, lab.averages[0])
    assert "the stage wrote no files" in capsys.readouterr().err
    lab.assert_nothing_is_left(lab.averages[0])


def test_a_second_writer_names_the_first_and_leaves(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    node = lab.averages[0]
    with hold_lock(lab.store.lock_path(*node.name)):
        lab.fail(bug, node)
    first = f"average {node.key} is being written by process {os.getpid()} on {socket.gethostname()} since"
    assert first in capsys.readouterr().err
