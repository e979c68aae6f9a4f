"""Mixtures of a finished study, exported: the commands of docs/exporting.md, and what the files hold."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from checkouts import REPOSITORY, run_mixlab, run_python

from mixlab.cli.export import open_mixture
from mixlab.data.exports.megatron_files import MegatronFiles
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.data.tokens.store import TokenStore

sys.path.insert(0, str(REPOSITORY / "tests/house"))
from docs_blocks import CONSOLE, find_difference, read_blocks, run_command, split_console

DOCUMENT = REPOSITORY / "docs/exporting.md"
LABEL = "even/mixture_seed 1/mixture"


def test_the_commands_and_the_program_of_the_document_do_what_it_says(study: Path) -> None:
    blocks = read_blocks(DOCUMENT)
    for command in (one for block in blocks if block.language == CONSOLE for one in split_console(block)):
        difference = find_difference(command, run_command(study, command.text))
        assert not difference, difference
    (program,) = (block.text for block in blocks if block.language == "python")
    done = run_python(study, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['document_ids', 'loss_mask', 'position_ids', 'tokens'] (4, 64)\n"


def test_exported_windows_are_those_of_training_and_a_blend_holds_every_document(study: Path) -> None:
    mixture, packs, stores = open_mixture(study, LABEL, "micro")
    windows = MixtureWindows(mixture, packs, stores)
    for form in ("windows", "megatron"):
        run_mixlab(study, "export", LABEL, "--study", "micro", "--format", form, "--to", form, "--responses")
    files = {name: MegatronFiles(study / "windows" / name) for name in ("windows", "documents", "responses")}
    assert {one.documents for one in files.values()} == {len(windows)}
    for place in range(len(windows)):
        window = windows.window(place)
        assert files["windows"].document(place).tolist() == window.tokens_T.tolist()
        assert files["documents"].document(place).tolist() == list(window.segment_lengths)
        assert files["responses"].document(place).astype(bool).tolist() == window.response_mask_T.tolist()
    weights = dict(reversed(line.split()) for line in (study / "megatron/data_path.txt").read_text().splitlines())
    # the weights are whole numbers of tokens, and together all that the windows hold
    assert sum(map(int, weights.values())) == sum(len(windows.window(place).tokens_T) for place in range(len(windows)))
    exported = {Path(prefix).name: MegatronFiles(study / prefix) for prefix in weights}
    opened = [TokenStore(store) for store in stores]
    held = [store.read(0, store.tokens_total).tolist() for store in opened]
    allocated = json.loads((mixture / "certificate.json").read_text())["sources"]["allocated_tokens"]
    assert list(map(int, weights.values())) == [tokens for tokens in allocated if tokens]
    wanted = [ids for ids, tokens in zip(held, allocated, strict=True) if tokens]
    assert [np.concatenate([ids for _, ids in one.blocks()]).tolist() for one in exported.values()] == wanted


def test_what_is_there_is_not_overwritten_and_what_is_missing_is_told(study: Path) -> None:
    (study / "taken").mkdir()
    _, packs, stores = open_mixture(study, LABEL, "micro")
    asked = ("-m", "mixlab.cli", "export", LABEL, "--study", "micro", "--format", "megatron", "--to")
    done = run_python(study, *asked, "taken")
    assert (done.returncode, done.stdout) == (2, "")
    assert "taken: is there already; name another folder, or remove it" in done.stderr
    (study / ".without_packs.part").mkdir()
    shutil.rmtree(packs[0])
    assert run_python(study, *asked, "without_packs").returncode == 0
    assert (study / ".without_packs.part").is_dir()
    shutil.rmtree(stores[0])
    done = run_python(study, *asked, "new")
    assert done.returncode == 2
    assert f"tokenize {stores[0].name}: not here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in study.iterdir() if path.name.startswith((".new", "new"))]


def test_the_answer_for_programs_lists_the_files(study: Path) -> None:
    said = run_mixlab(study, "export", LABEL, "--study", "micro", "--format", "windows", "--to", "a/b", "--json")
    card = json.loads(said)
    assert card["files"] == {
        path.relative_to(study / "a/b").as_posix(): path.stat().st_size
        for path in (study / "a/b").rglob("*")
        if path.is_file()
    }
