"""`mixlab lock` and `mixlab unlock`: what the files are, and whether somebody still writes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import REPOSITORY, copy_checkout, run_python
from click.testing import Result
from tokenizers import AddedToken, Tokenizer, models

from mixlab.config.model_facts import take_facts
from mixlab.plan.sources_lock import read_lock

Invoke = Callable[..., Result]


@pytest.fixture
def data(micro: Path) -> Path:
    """The data folder of the working folder, with files of its own."""
    folder = micro / "tests/data/micro"
    folder.unlink()
    folder.mkdir()
    for path in (REPOSITORY / "tests/data/micro").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_without_a_lock_a_plan_names_the_cure_and_the_lock_can_be_written(data: Path, invoke: Invoke) -> None:
    Path("sources.lock").unlink()
    assert "sources.math_file: not in sources.lock; run `mixlab lock math_file`" in invoke("plan").stderr
    result = invoke("lock")
    assert result.exit_code == 0
    assert "new        math_file: 1 file" in result.stdout
    assert invoke("plan").exit_code == 0


def test_a_lock_that_is_no_json_is_written_anew(data: Path, invoke: Invoke) -> None:
    Path("sources.lock").write_text("<<<<<<< HEAD\n")
    assert "sources.lock: cannot be read" in invoke("plan").stderr
    result = invoke("lock")
    assert result.exit_code == 0
    assert "sources.lock is written anew" in result.stderr
    assert invoke("plan").exit_code == 0


def test_a_damaged_entry_is_mended_by_its_cure_and_the_others_stay(data: Path, invoke: Invoke) -> None:
    lock = json.loads(Path("sources.lock").read_text())
    lock["sources"]["math_file"]["files"][0]["digest"] = "zz"
    Path("sources.lock").write_text(json.dumps(lock))
    refused = invoke("plan")
    assert refused.exit_code == 2
    assert "sources.lock: source 'math_file' cannot be read (math_en.jsonl: 'zz' is no sha256" in refused.stderr
    assert "run `mixlab lock math_file`" in refused.stderr
    assert invoke("lock", "math_file").exit_code == 0
    assert invoke("plan").exit_code == 0


def test_copies_of_a_file_are_refused_by_lock_and_by_plan(data: Path, invoke: Invoke) -> None:
    study = Path("studies/micro.yaml")
    study.write_text(study.read_text().replace("[raw_en.jsonl]", "['raw_en*.jsonl']"))
    (data / "raw_en_2.jsonl").write_bytes((data / "raw_en.jsonl").read_bytes())
    words = "sources.raw_file.origin: 'raw_en.jsonl' and 'raw_en_2.jsonl' hold the same bytes"
    refused = invoke("lock")
    assert refused.exit_code == 2
    assert words in refused.stderr
    lock = json.loads(Path("sources.lock").read_text())
    card = lock["sources"]["raw_file"]
    card |= {"paths": ["raw_en*.jsonl"], "files": [*card["files"], card["files"][0] | {"path": "raw_en_2.jsonl"}]}
    Path("sources.lock").write_text(json.dumps(lock))
    planned = invoke("plan")
    assert planned.exit_code == 2
    assert words in planned.stderr
    assert "run `mixlab lock raw_file`" in planned.stderr


def test_a_changed_file_stops_the_plan_until_it_is_locked(data: Path, invoke: Invoke) -> None:
    with (data / "math_en.jsonl").open("a") as file:
        file.write('{"question": "1 + 1?", "answer": "2"}\n')
    refused = invoke("plan")
    assert refused.exit_code == 2
    assert "run `mixlab lock math_file`" in refused.stderr
    answer = json.loads(invoke("lock", "--json").stdout)
    changes = {row["source"]: (row["change"], row["digest_changed"]) for row in answer["sources"]}
    assert changes["math_file"] == ("changed", ["math_en.jsonl"])
    assert changes["raw_file"] == ("unchanged", [])
    assert invoke("plan").exit_code == 0


def test_only_the_named_sources_are_looked_at(data: Path, invoke: Invoke) -> None:
    for path in data.iterdir():
        path.write_text('{"text": "new", "question": "new", "answer": "new"}\n')
    before = read_lock(Path.cwd())
    assert invoke("lock", "raw_*").exit_code == 0
    after = read_lock(Path.cwd())
    assert after["math_file"] == before["math_file"]
    assert after["raw_file"] != before["raw_file"]


def test_an_unchanged_lock_is_not_written(data: Path, invoke: Invoke) -> None:
    invoke("lock", "--prune")
    before = Path("sources.lock").stat().st_mtime_ns
    assert "0 sources changed of 2 looked at" in invoke("lock").stdout
    assert Path("sources.lock").stat().st_mtime_ns == before


def test_two_studies_cannot_give_one_name_to_different_files(data: Path, invoke: Invoke) -> None:
    text = Path("studies/micro.yaml").read_text()
    Path("studies/other.yaml").write_text(text.replace("[math_en.jsonl]", "[raw_en.jsonl]"))
    result = invoke("lock")
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if "sources.math_file" in line]
    assert [line.partition(":")[0] for line in lines] == ["studies/micro.yaml", "studies/other.yaml"]
    assert "study 'micro' declares it with other files than study 'other'" in lines[0]
    assert invoke("lock", "--study", "micro").exit_code == 0


def test_what_no_study_declares_is_removed_only_with_prune(data: Path, invoke: Invoke) -> None:
    invoke("lock", "--prune")
    path = Path("studies/micro.yaml")
    path.write_text(path.read_text().replace("math_file", "sums"))
    result = invoke("lock")
    assert "unused     math_file: no study declares it" in result.stdout
    assert {"math_file", "sums"} <= set(read_lock(Path.cwd()))
    invoke("lock", "--prune")
    assert set(read_lock(Path.cwd())) == {"raw_file", "sums"}


def test_missing_files_and_unknown_names_are_told_together(data: Path, invoke: Invoke) -> None:
    before = Path("sources.lock").read_text()
    for path in data.iterdir():
        path.unlink()
    result = invoke("lock")
    assert result.exit_code == 2
    for name, line in (("raw_file", 9), ("math_file", 15)):
        assert f"studies/micro.yaml:{line}: sources.{name}.origin: no file matches" in result.stderr
    assert (
        "nothing that can be locked is named 'mathfile'; did you mean 'math_file'?" in invoke("lock", "mathfile").stderr
    )
    assert Path("sources.lock").read_text() == before


HOLDER = """
import sys, time
from pathlib import Path
from mixlab.artifacts.store import Store
with Store(Path.cwd()).writing("sft", "0123456789abcdef"):
    print("holding", flush=True)
    time.sleep(60)
"""


def test_unlock_refuses_while_a_writer_lives_and_unlocks_after_it(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "checkout")
    locks = root / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("config.yaml\n")
    with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=root, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        refused = run_python(root, "-m", "mixlab.cli", "unlock")
        holder.kill()
    assert refused.returncode == 2
    assert "1 writer still at work" in refused.stderr
    assert f"sft 0123456789abcdef is being written by process {holder.pid} on " in refused.stderr
    assert (locks / "0.input.lock").exists()
    done = run_python(root, "-m", "mixlab.cli", "unlock")
    assert done.returncode == 0, done.stderr
    assert "unlocked" in done.stdout
    assert list(root.glob(".snakemake/locks/*")) == []


def write_tokenizer(path: Path, *special: str) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(path))


@pytest.mark.parametrize(
    ("special", "kept", "words"),
    [
        (("<eos>",), 1.0, "the end token '</s>' is no token of this tokenizer"),
        (("</s>",), 0.5, "no tokenizer in the format of Hugging Face's tokenizers"),
    ],
)
def test_a_tokenizer_file_that_no_job_could_take_is_refused(
    data: Path, invoke: Invoke, special: tuple[str, ...], kept: float, words: str
) -> None:
    file, study = data / "mine.json", Path("studies/micro.yaml")
    write_tokenizer(file, *special)
    file.write_text(file.read_text()[: int(kept * file.stat().st_size)])
    mine = "tokenizers:\n  mine: {type: file, root: micro, path: mine.json, end_token: </s>}\n"
    study.write_text(study.read_text().replace("tokenizers:\n", mine, 1))
    before = Path("sources.lock").read_text()
    result = invoke("lock", "tokenizer/mine")
    assert result.exit_code == 2
    line = study.read_text()[: study.read_text().index("  mine:")].count("\n") + 1
    assert f"studies/micro.yaml:{line}: tokenizers.mine: " in result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert Path("sources.lock").read_text() == before


def test_a_tokenizer_is_one_file(data: Path, invoke: Invoke) -> None:
    study = Path("studies/micro.yaml")
    for name, token in (("one", "</s>"), ("two", "<eos>")):
        write_tokenizer(data / f"{name}.token.json", token)
    mine = "tokenizers:\n  mine: {type: file, root: micro, path: '*.token.json', end_token: </s>}\n"
    study.write_text(study.read_text().replace("tokenizers:\n", mine, 1))
    assert "'*.token.json' names 2 files, and a tokenizer is one" in invoke("lock", "tokenizer/mine").stderr


def test_hub_sources_and_tokenizer_files_are_locked_beside_files(data: Path, invoke: Invoke) -> None:
    study = Path("studies/micro.yaml")
    write_tokenizer(data / "mine.json", "</s>")
    origin = "{type: hub, id: acme/qa, fields: {text: '{answer}'}}"
    hub = f"  far:\n    {{kind: raw, language: en, licence: MIT, origin: {origin}}}\n"
    mine = "tokenizers:\n  mine: {type: file, root: micro, path: mine.json, end_token: </s>}\n"
    mine += "  far: {type: hub, id: acme/model, end_token: </s>}\n"
    model = "base_models:\n  far: {type: hub, id: acme/model, tokenizer: bpe}\n"
    text = study.read_text().replace("base_models:\n", model, 1)
    study.write_text(text.replace("sources:\n", f"sources:\n{hub}", 1).replace("tokenizers:\n", mine, 1))
    hub_server = REPOSITORY / "tests/unit/data/hub_server.py"
    server = subprocess.Popen([sys.executable, str(hub_server)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    # the libraries read their environment when they are imported, so each asks from a process of its own
    # no mixture takes the source: what is not used is locked when it is named
    command = [sys.executable, "-m", "mixlab.cli", "lock", "far", "tokenizer/*", "base_model/far"]
    variables = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(data / "home")}
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    server.kill()
    server.wait()
    server.stdout.close()
    assert done.returncode == 0, done.stderr
    assert f"new        far: acme/qa at main, commit {'a' * 40}" in done.stdout
    assert "new        tokenizer/mine: 1 file" in done.stdout
    lock = read_lock(Path())
    assert lock["far"].hub is not None
    assert lock["tokenizer/mine"].is_at("micro", "mine.json")
    assert f"new        tokenizer/far: acme/model at main, commit {'a' * 40}" in done.stdout
    assert f"new        base_model/far: acme/model at main, commit {'a' * 40}" in done.stdout
    assert lock["base_model/far"].model == take_facts({"vocab_size": 300})
    down = subprocess.run(command, capture_output=True, text=True, env=variables)
    assert down.returncode == 2
    assert "sources.far.origin: hub data set acme/qa at main: the hub cannot be reached" in down.stderr
    assert "Traceback" not in down.stderr
    assert read_lock(Path()) == lock


def test_a_base_model_is_locked_and_its_change_is_told(data: Path, invoke: Invoke) -> None:
    folder, study = data / "model", Path("studies/micro.yaml")
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_text("pickle")
    mine = "base_models:\n  mine: {type: files, root: micro, path: model, tokenizer: bpe}\n"
    study.write_text(study.read_text().replace("base_models:\n", mine, 1))
    refused = invoke("lock", "base_model/mine")
    assert refused.exit_code == 2
    line = study.read_text()[: study.read_text().index("  mine:")].count("\n") + 1
    assert f"studies/micro.yaml:{line}: base_models.mine: no *.safetensors in" in refused.stderr
    (folder / "model.safetensors").write_text("weights")
    assert "new        base_model/mine: 2 files" in invoke("lock", "base_model/mine").stdout
    assert read_lock(Path())["base_model/mine"].is_at("micro", "model")
    before = Path("sources.lock").read_text()
    lock = json.loads(before)
    assert lock["sources"]["base_model/mine"].pop("model") == {"config": {"model_type": "llama"}}
    Path("sources.lock").write_text(json.dumps(lock))  # as it was written before sizes were noted
    assert "the model's sizes are noted; no key changes by it" in invoke("lock", "base_model/mine").stdout
    assert Path("sources.lock").read_text() == before
    (folder / "model.safetensors").write_text("other weights")
    assert "digest changed: model/model.safetensors" in invoke("lock", "base_model/mine").stdout
    assert "unchanged  base_model/mine" in invoke("lock", "base_model/mine").stdout
    (folder / "config.json").write_text("[]")
    assert "config.json: no Hugging Face config: it is no mapping" in invoke("lock", "base_model/mine").stderr
