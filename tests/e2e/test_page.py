"""The page and the card of a finished study: what the commands write, and what they say of what is gone."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from checkouts import REPOSITORY, run_mixlab, run_python
from click.testing import CliRunner
from huggingface_hub import ModelCard
from page_numbers import list_dead_ends, list_unlinked, read_lineage, read_page

from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import Tombstone, write_tombstone
from mixlab.cli import mixlab

sys.path.insert(0, str(REPOSITORY / "tests/house"))
from docs_blocks import find_difference, read_commands, run_command

STAGES = ("before_sft", "after_sft", "after_sft")
MODEL = "even/mixture_seed 1/ipt_seed 1/sft_seed 1/sft"


@pytest.fixture(scope="module")
def written(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moved copy of the finished study in which the commands of docs/report.md were run."""
    root = tmp_path_factory.mktemp("page") / "moved 移動"
    shutil.copytree(finished, root, symlinks=True)
    for command in read_commands(REPOSITORY / "docs/report.md"):
        difference = find_difference(command, run_command(root, command.text))
        assert not difference, difference
    return root


def test_the_commands_of_the_document_print_what_it_says(written: Path) -> None:
    assert (written / "pages/micro/index.html").is_file()
    assert (written / "exports/even_model/README.md").is_file()


def read_data(page: Path, name: str) -> dict:
    text = (page / f"data/{name}.js").read_text(encoding="utf-8")
    value: dict = json.loads(text.partition(",")[2].removesuffix(");\n"))
    return value


def test_a_finished_study_becomes_a_page_with_every_answer(written: Path) -> None:
    page = written / "pages/micro"
    index = read_data(page, "index")
    assert [(one["variant"], one["stage"], one["seeds"].get("sft_seed")) for one in index["answerers"]] == [
        *(("even", stage, seed) for stage, seed in zip(STAGES, (None, 1, 2), strict=True)),
        *(
            ("math heavy 数学", stage, seed)
            for stage, seed in (("before_sft", None), ("after_sft", 1), ("after_sft", 2))
        ),
    ]
    assert {one["base_model"] for one in index["answerers"]} == {"tiny"}
    assert {one["mixture"] for one in index["answerers"]} == {"even, mixture_seed 1", "math heavy 数学, mixture_seed 1"}
    dialogues = next(one for one in index["benchmarks"] if one["name"] == "demo_dialogue_en")
    assert dialogues["measure"] == "judge_score" and not dialogues["missing"]
    rows = [row for one in index["sets"] for row in read_data(page, f"answers/{one['key']}-0")]
    responses = [
        json.loads(line)["responses"]
        for path in written.glob("artifacts/generate/*/responses.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    # six models, 8 scored and 4 judged items each
    assert len(responses) == 72
    assert sorted(row["responses"] for row in rows) == sorted(responses)
    # two judge runs of two turns
    assert {len(row["verdicts"]) for row in rows if "verdicts" in row} == {4}
    text = (page / "index.html").read_text(encoding="utf-8")
    assert "Everything that this page is made from is here." in text
    assert "All jobs together took" in text
    assert [run["purpose"] for run in read_data(page, "training")] == ["pretrain", *["ipt"] * 2, *["sft"] * 4]


def test_every_cell_of_a_page_leads_to_the_digests_of_the_source_files(written: Path) -> None:
    lineage = read_data(written / "pages/micro", "lineage")
    lock = (written / "sources.lock").read_text(encoding="utf-8")
    assert len(lineage["cells"]) == 8
    for made_of in lineage["cells"].values():
        digests = set()
        waiting = [one["model_key"].partition(":")[0] for one in made_of]
        while waiting:
            node = lineage["nodes"][waiting.pop()]
            digests |= {value for name, value in node.get("facts", []) if name == "digest"}
            waiting += [parent.partition(":")[0] for _, parent in node["parents"]]
        assert len(digests) == 2 and all(digest in lock for digest in digests)


def test_every_number_of_scores_of_a_finished_study_leads_to_the_digest_of_a_source(written: Path) -> None:
    page = read_page(written / "pages/micro")
    assert {"main", "effects", "judge", "cells", "tests", "intervals"} <= set(page.tables)
    assert list_unlinked(page) == []
    assert list_dead_ends(page, read_lineage(written / "pages/micro")) == []


@pytest.mark.long
def test_what_was_discarded_is_named_and_the_rest_is_there(study: Path) -> None:
    store = Store(study)
    for stage, reason in (("sft", "too large"), ("judge", "asked again")):
        (folder, *_) = sorted((store.artifacts / stage).iterdir())
        write_tombstone(store, Tombstone(stage, folder.name, "ab" * 32, 3, reason))
        shutil.rmtree(folder)
    said = json.loads(run_mixlab(study, "page", "micro", "--to", "a page", "--json"))
    assert (said["study"], said["folder"], said["answers"]) == ("micro", "a page", 72)
    there = (path for path in (study / "a page").rglob("*") if path.is_file())
    assert sorted(said["files"]) == sorted(path.relative_to(study / "a page").as_posix() for path in there)
    text = (study / "a page/index.html").read_text(encoding="utf-8")
    part = text.partition('<section id="missing">')[2]
    assert "1 of 30 sets of answers, scores, verdicts and comparisons cannot be shown: judge " in part
    assert "is discarded: asked again" in part and "discarded on purpose" in part
    training = read_data(study / "a page", "training")
    assert [run["missing"].partition("is ")[2] for run in training if "missing" in run] == ["discarded: too large"]
    # a page gives way to the next one, another folder does not
    run_mixlab(study, "page", "micro", "--to", "a page")
    done = run_python(study, "-m", "mixlab.cli", "page", "micro", "--to", "artifacts")
    assert done.returncode == 2
    assert "artifacts: is there already and is no page; name another folder with --to, or remove it" in done.stderr


def test_a_study_without_tables_has_no_page_yet(study: Path) -> None:
    shutil.rmtree(study / "artifacts/aggregate")
    done = run_python(study, "-m", "mixlab.cli", "page", "micro")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "study 'micro' has no tables here yet: aggregate " in done.stderr
    assert not (study / "pages").exists()


@pytest.mark.long
def test_a_damaged_answer_is_told_and_no_page_is_written(study: Path) -> None:
    path = next(study.glob("artifacts/generate/*/responses.jsonl"))
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    done = run_python(study, "-m", "mixlab.cli", "page", "micro")
    assert done.returncode == 2 and "mixlab verify --repair" in done.stderr
    assert not (study / "pages").exists()


def test_an_exported_model_opens_in_transformers_and_its_card_in_the_hubs_library(written: Path) -> None:
    card = ModelCard.load(written / "exports/even_model/README.md")
    assert (card.data.license, card.data.pipeline_tag, card.data.language) == (
        "unknown",
        "text-generation",
        ["en", "ja"],
    )
    assert {one.dataset_name for one in card.data.eval_results} == {"demo_math_en", "demo_dialogue_en"}
    for said in (
        "## Data",
        "| raw\\_file |",
        "CC0-1.0",
        "Contamination: ",
        "`training.optimizer.learning_rate`",
        "mixlab explain",
    ):
        assert said in card.text, said
    program = (
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "tokenizer = AutoTokenizer.from_pretrained('exports/even_model')\n"
        "model = AutoModelForCausalLM.from_pretrained('exports/even_model')\n"
        "said = [{'role': 'user', 'content': 'Hi'}]\n"
        "print(tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True))\n"
        "ids = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_dict=True, return_tensors='pt')\n"
        "print(model.generate(**ids, max_new_tokens=3).shape[0], tokenizer.eos_token, tokenizer.pad_token)\n"
    )
    done = run_python(written, "-c", program)
    assert done.stdout.splitlines() == ["<|user|>Hi<|assistant|>", "1 <|end|> <|pad|>"], done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["even/mixture_seed 1/ipt_seed 1/ipt", "--format", "transformers"],
            "name one with --member: last-00, last-01",
        ),
        (["even/mixture_seed 1/mixture", "--format", "transformers"], "no artifact of a study has the key or label"),
        ([MODEL, "--format", "transformers", "--link"], "belong to mixtures"),
        (["even/mixture_seed 1/mixture", "--format", "windows", "--licence", "mit"], "belong to models"),
    ],
)
def test_what_cannot_be_exported_is_told(
    written: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written)
    done = CliRunner().invoke(mixlab, ["export", *arguments, "--study", "micro", "--to", "out"])
    assert done.exit_code == 2 and said in done.stderr
    assert not (written / "out").exists()


def test_a_licence_that_is_stated_stands_in_the_card(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written)
    asked = ["export", "even/mixture_seed 1/ipt_seed 1/ipt", "--study", "micro", "--format", "transformers"]
    done = CliRunner().invoke(mixlab, [*asked, "--member", "last-00", "--licence", "cc0-1.0", "--to", "newest"])
    assert done.exit_code == 0, done.output
    card = ModelCard.load(written / "newest/README.md")
    assert card.data.license == "cc0-1.0" and card.data.eval_results is None
    assert "The study 'micro' does not evaluate this model." in card.text
