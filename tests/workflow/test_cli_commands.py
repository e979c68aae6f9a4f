"""`mixlab` as people meet it: help, JSON, what plan, explain and schema say, and how mistakes are told."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import yaml
from checkouts import CONFIG, environment
from click.testing import CliRunner, Result

from mixlab.artifacts.provenance import write_provenance
from mixlab.artifacts.store import Store
from mixlab.cli import COMMANDS, find_module, mixlab
from mixlab.cli.schema import build_study_schema

Invoke = Callable[..., Result]

WRITTEN = [name for name in COMMANDS if find_spec(find_module(name)) is not None]


def test_help_lists_every_command_without_importing_any() -> None:
    code = (
        "import sys; from mixlab.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith('mixlab.plan') or name in ('dvc', 'pydantic')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_and_an_example_in_its_help(name: str) -> None:
    if name not in WRITTEN:
        pytest.fail(f"mixlab {name}: listed in cli/__init__.py, but src/mixlab/cli/{name}.py is missing")
    result = CliRunner().invoke(mixlab, [name, "--help"])
    assert result.exit_code == 0
    assert f"Example:\n    mixlab {name}" in result.output
    assert "--json" in result.output


@pytest.mark.parametrize(
    "arguments", [("plan",), ("status",), ("price",), ("explain", "micro/report"), ("diff", ".", "."), ("schema",)]
)
def test_looking_imports_nothing_heavy(micro: Path, arguments: tuple[str, ...]) -> None:
    heavy = ("torch", "pandas", "numpy", "snakemake", "dvc", "transformers", "scipy", "pyarrow")
    code = (
        "import sys\nfrom mixlab.cli import main\n"
        f"try: main({list(arguments)})\nexcept SystemExit as end: assert not end.code, end.code\n"
        f"found = [name for name in {heavy} if name in sys.modules]\nassert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=micro)
    assert done.returncode == 0, done.stderr


def test_plan_counts_what_exists_what_runs_and_what_is_fetched_apart(micro: Path, invoke: Invoke) -> None:
    store = Store(micro)
    before = json.loads(invoke("plan", "--json").stdout)
    keys = {node["labels"][0]: (node["stage"], node["key"]) for node in before["run"]}
    assert before["totals"]["run"] == before["totals"]["planned"] == len(keys)
    tuned = [name for label, name in keys.items() if name[0] == "sft"]
    here, there = tuned[0], tuned[1]
    store.folder(*here).mkdir(parents=True)
    store.manifest_path(*here).write_text("{}")
    store.pointer(*there).parent.mkdir(parents=True)
    store.pointer(*there).touch()
    dropped = keys["micro/even/mixture_seed 1/ipt_seed 1/ipt"]
    store.tombstone(*dropped).parent.mkdir(parents=True)
    store.tombstone(*dropped).write_text("{}")
    after = json.loads(invoke("plan", "--json").stdout)
    rows = {row.pop("stage"): row for row in after["stages"]}
    assert rows["sft"] == {"planned": 4, "complete": 1, "tracked": 1, "discarded": 0, "run": 2, "fetch": 1}
    # average is not made and must be, so the discarded run is wanted again
    assert rows["ipt"] == {"planned": 2, "complete": 0, "tracked": 0, "discarded": 1, "run": 2, "fetch": 0}
    assert [node["key"] for node in after["fetch"]] == [there[1]]
    text = invoke("plan", "--keys").stdout
    assert f"fetch sft {there[1]}" in text
    assert text.splitlines()[-1] == f"{after['totals']['run']} artifacts would run, 1 artifact would be fetched."


def test_plan_says_when_nothing_is_to_be_done(micro: Path, invoke: Invoke) -> None:
    target = json.loads(invoke("plan", "--json").stdout)["targets"]["micro"][0]["key"]
    path = Store(micro).manifest_path("report", target)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert invoke("plan").stdout.splitlines()[-1] == "Nothing to be done."
    assert json.loads(invoke("plan", "--json").stdout)["is_done"]


def test_explain_shows_spec_parents_children_place_and_who_made_it(micro: Path, invoke: Invoke) -> None:
    card = json.loads(invoke("explain", "even/mixture_seed 1/mixture", "--json").stdout)
    assert card["spec"]["mixture"]["category"] == {"math": "1/2", "reasoning": "1/2"}
    assert {one["label"] for one in card["parents"]["packs"]} >= {"micro/pack/bpe/math_file/packed 64"}
    assert [one["stage"] for one in card["children"]] == ["ipt", "aggregate", "report"]
    assert (card["state"], card["places"], card["provenance"], card["artifact"]) == ("absent", [], [], None)
    with Store(micro).writing("mixture", card["key"]) as draft:
        assert draft is not None
        assert "is being written by process" in invoke("explain", card["key"]).stdout
        (draft.out / "windows.npy").write_bytes(b"0")
        manifest = draft.publish(card["spec"], {})
    write_provenance(Store(micro), manifest, "even", 1.5, "bytes", {})
    card = json.loads(invoke("explain", card["key"][:6], "--json").stdout)
    assert (card["state"], card["places"]) == ("complete", [f"artifacts/mixture/{card['key']}"])
    assert card["artifact"]["digest"] == manifest.digest
    assert card["provenance"][0]["seconds"] == 1.5
    text = invoke("explain", card["key"][:6]).stdout
    assert manifest.digest in text
    assert '"category": {' in text


def test_explain_shows_members_and_reads(micro: Path, invoke: Invoke) -> None:
    card = json.loads(
        invoke("explain", "even/mixture_seed 1/ipt_seed 1/average", "--stage", "average", "--json").stdout
    )
    assert [one["member"] for one in card["parents"]["snapshots"]] == ["last-00", "last-01", "last-02", "last-03"]
    run = json.loads(invoke("explain", card["parents"]["snapshots"][0]["key"], "--json").stdout)
    assert {one["stage"] for one in run["reads"]["stores"]} == {"tokenize"}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("even", "may be any of 23 artifacts"),
        ("micro/tokenizer/bpf", "did you mean 'micro/tokenizer/bpe'?"),
        ("tokenizer/bpf", "did you mean 'tokenizer/bpe'?"),
        ("9f", "a key needs at least 4 digits"),
        ("0123456789abcdef", "no artifact of a study has the key or label"),
    ],
)
def test_explain_says_what_may_be_meant(micro: Path, invoke: Invoke, what: str, told: str) -> None:
    result = invoke("explain", what)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_explain_names_an_artifact_that_no_study_asks_for(micro: Path, invoke: Invoke) -> None:
    path = Store(micro).manifest_path("sft", "feedfacefeedface")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert "no study of this checkout asks for sft feedfacefeedface (complete)" in invoke("explain", "feedf").stderr


def test_explain_leaves_a_study_with_mistakes_out_and_says_so(micro: Path, invoke: Invoke) -> None:
    (micro / "studies/broken.yaml").write_text("title: Broken\n")
    result = invoke("explain", "micro/report")
    assert result.exit_code == 0
    assert "not looked at, because of mistakes: broken" in result.stderr


def test_the_schema_accepts_the_studies_of_this_repository_and_no_unknown_key(micro: Path) -> None:
    schema = build_study_schema()
    study = yaml.safe_load((micro / "studies/micro.yaml").read_text())
    jsonschema.validate(study, schema)
    jsonschema.validate({"extends": "micro.yaml", "title": "Another"}, schema)
    for wrong in ({**study, "averge": {}}, {**study, "variant_defaults": {"budgt": {}}}, {"title": "Another"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_schema_of_the_main_configuration_is_printed(invoke: Invoke) -> None:
    schema = json.loads(invoke("schema", "config").stdout)
    jsonschema.validate(yaml.safe_load(CONFIG), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"study": 3}, schema)


def test_an_unknown_command_is_told_with_its_nearest(invoke: Invoke) -> None:
    result = invoke("explan")
    assert result.exit_code == 2
    assert "no command 'explan'; did you mean 'explain'?" in result.stderr


def test_a_folder_without_configuration_is_a_mistake_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (("plan",), ("explain", "abcd"), ("diff",), ("lock",), ("unlock",)):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert "no config.yaml in" in result.stderr


@pytest.mark.parametrize(
    "error, told",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "mixlab: No space left on device; free space, then run it"),
        (PermissionError(errno.EACCES, "Permission denied", "/store/x"), "mixlab: /store/x: Permission denied; check"),
    ],
)
def test_what_the_system_refuses_is_told_in_one_line(
    micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: OSError, told: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("mixlab.cli.track.plan_named", refuse)
    result = invoke("track")
    assert result.exit_code == 2
    assert result.output.startswith(told) and result.output.count("\n") == 1


def test_an_interrupt_is_quiet(micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mixlab.cli.plan.build_plan", interrupt)
    result = invoke("plan")
    assert (result.exit_code, result.output) == (130, "")


def test_the_module_runs_as_a_program(micro: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "mixlab.cli", "plan", "mcro"]
    done = subprocess.run(command, cwd=micro, env=environment(root), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "mixlab: studies/mcro.yaml: no such study; did you mean 'micro'? (studies: micro)\n"
