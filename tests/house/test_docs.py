"""What the documents say is so: commands, options, tables, paths and links."""

import json
import re
import shutil
from pathlib import Path

import click
import pytest
from checkouts import SHIPPED, copy_checkout, pretend_finished
from docs_blocks import CONSOLE, REPOSITORY, find_difference, list_documents, read_blocks, read_commands, run_command
from docs_tables import EDIT_TABLE, OTHERS, REFRESH, render_edit_table

from mixlab.cli import COMMANDS, mixlab
from mixlab.plan.build import build_plan
from mixlab.plan.stages import STAGES

README = REPOSITORY / "README.md"
ARCHITECTURE = REPOSITORY / "docs/architecture.md"
TRACKING = "tests/workflow/test_dvc_tracking.py::"

SESSION = (
    'export PATH="$PWD/.venv/bin:$PATH"',
    "mixlab plan micro",
    "sed -i 's/{math: 3, reasoning: 1}/{math: 4, reasoning: 1}/' studies/micro.yaml",
    "mixlab diff --study micro",
    "git checkout --quiet studies/micro.yaml",
    "snakemake --profile local -n all --config study=micro",
)
"""Commands of README that are really run, in order, in a copy; the study counts as finished after its plan."""

DRY = {
    "make demo": "make --dry-run demo",
    "make test": "make --dry-run test",
    "make .venv/.installed": "make --dry-run .venv/.installed",
    "snakemake --profile slurm -n all": "snakemake --profile slurm -n all",
    "snakemake --profile slurm all --default-resources slurm_account=ACCOUNT slurm_partition=PARTITION": (
        "snakemake --profile slurm all --default-resources slurm_account=ACCOUNT slurm_partition=PARTITION -n"
    ),
    "snakemake --profile local all --config study=micro": "snakemake --profile local all --config study=micro -n",
}
"""Commands that are run as far as they can be without doing it, in a copy with nothing made."""

ELSEWHERE = {
    "mixlab show micro": "tests/e2e/test_docs_finished.py::test_readme_shows_a_finished_study_as_it_is",
    "mixlab explain 'even/mixture_seed 1/mixture'": (
        "tests/e2e/test_docs_finished.py::test_readme_shows_a_finished_study_as_it_is"
    ),
    "mixlab show demo": (
        "tests/e2e/test_slurm_study.py::test_a_study_is_finished_through_a_dead_node_and_a_killed_snakemake"
    ),
    **dict.fromkeys(
        ("mixlab cluster orphans", "mixlab cluster orphans --cancel", "mixlab unlock"),
        "tests/e2e/test_slurm.py::test_jobs_of_a_killed_run_are_listed_and_cancelled",
    ),
    **dict.fromkeys(
        (
            "mixlab price demo --gpu a100 --gpus 8 --cores 8",
            "mixlab price demo --edit 'seeds.sft_seed=[1, 2, 3, 4]'",
        ),
        "tests/house/test_docs_price.py::test_the_document_shows_what_the_demo_and_an_edit_of_it_cost",
    ),
    **dict.fromkeys(
        ("mixlab surface --csv losses.csv", "mixlab propose micro --csv losses.csv --gpu-hours 1 --at-most 3"),
        "tests/house/test_docs_surface.py::test_the_document_shows_a_surface_and_what_to_measure_next",
    ),
    **dict.fromkeys(
        (
            "mixlab explain --why 'math heavy 数学/mixture_seed 1/ipt_seed 1/sft_seed 1/sft'",
            "git commit -qam 'more maths'",
            "mixlab diff HEAD~1 HEAD --study micro",
        ),
        "tests/e2e/test_docs_finished.py::test_the_document_explains_why_something_would_run",
    ),
    "mixlab check-benchmarks gsm8k mgsm_ja truthfulqa": (
        "tests/house/test_docs_benchmarks.py::test_the_document_shows_what_the_command_prints"
    ),
    "mixlab check-benchmarks gsm8k --against-lm-eval gsm8k": (
        "tests/house/test_docs_benchmarks.py::test_the_document_shows_what_the_command_prints"
    ),
    **dict.fromkeys(
        ("mixlab judge cost --study micro", "mixlab judge spent"),
        "tests/house/test_docs_judging.py::test_the_document_shows_what_the_micro_study_would_cost",
    ),
    **dict.fromkeys(
        (
            r"sed -i 's/zip(self._members\[1:\], coefficients\[1:\]/zip(self._members[:0:-1], coefficients[:0:-1]/' "
            "src/mixlab/training/averaging/mean.py",
            "mixlab drift micro",
            'mixlab canary micro --hours 0.1 --stage average || echo "exit code $?"',
        ),
        "tests/e2e/test_docs_trust.py::test_the_document_shows_how_drift_is_found_and_what_a_canary_says",
    ),
    "mixlab track --push": f"{TRACKING}test_tracking_on_a_branch_saves_artifacts_from_a_plain_pull_on_another",
    "dvc pull": f"{TRACKING}test_a_second_clone_pulls_everything_and_plain_pulls_on_branches_delete_nothing",
    **dict.fromkeys(
        (
            "mixlab fetch 5eed",
            "mixlab merge --install",
            "mixlab track 5eed000000000002 --push",
            "mixlab merge --keep 27328de95055 5eed000000000002",
            "mixlab gc --remote",
        ),
        "tests/house/test_docs_remotes.py::test_the_document_shows_what_its_commands_print",
    ),
    **dict.fromkeys(
        (
            "dvc remote add --default store ssh://data.lab.example/srv/mixlab",
            "dvc remote modify --local store user hanako",
            "dvc remote modify --local store keyfile ~/.ssh/id_ed25519",
        ),
        "tests/house/test_docs_remotes.py::test_the_commands_that_name_a_remote_keep_what_is_ones_own_out_of_git",
    ),
    **dict.fromkeys(
        (
            "mixlab export 'even/mixture_seed 1/mixture' --study micro --format megatron --to exports/even",
            "cat exports/even/megatron_arguments.txt",
            "mixlab export 'even/mixture_seed 1/mixture' --study micro --format windows --responses "
            "--to exports/even_windows",
            "mixlab import exports/even/raw_file --tokenizer exports/even/tokenizer/tokenizer.json "
            "--out exports/texts.jsonl",
        ),
        "tests/e2e/test_export.py::test_the_commands_and_the_program_of_the_document_do_what_it_says",
    ),
    **dict.fromkeys(
        (
            "mixlab page micro",
            "mixlab export 'even/mixture_seed 1/ipt_seed 1/sft_seed 1/sft' --study micro --format transformers "
            "--to exports/even_model",
            "head -n 8 exports/even_model/README.md",
        ),
        "tests/e2e/test_page.py::test_the_commands_of_the_document_print_what_it_says",
    ),
    **dict.fromkeys(
        (
            "mixlab adopt --template 'even/mixture_seed 1/ipt_seed 1/ipt' --study micro --spec even.json",
            "mixlab adopt checkpoints/even --as ipt --spec even.json --reason 'run 4711, before the study'",
        ),
        "tests/e2e/test_adopt.py::test_the_commands_of_the_document_adopt_and_snakemake_takes_it_as_finished",
    ),
    "sbatch --nodes=2 --mem=100G --time=1440 profiles/slurm/train.sbatch ipt work/plans/PLAN.jsonl KEY": (
        "tests/e2e/test_slurm_training.py::test_a_script_of_ones_own_goes_back_into_the_queue_and_on"
    ),
    "make vllm": (
        "tests/house/test_docs_engines.py::test_make_vllm_installs_what_the_constraints_file_of_the_repository_pins"
    ),
    "python performance/generation.py --prompts 64 --hidden 128 --layers 2": (
        "tests/house/test_docs_engines.py::test_the_three_ways_to_ask_a_model_are_measured"
    ),
    ".venv-vllm/bin/python -m vllm.entrypoints.openai.api_server --model MODEL --served-model-name NAME": (
        "tests/workflow/test_vllm_server.py::test_a_vllm_server_is_asked_and_judges_and_its_verdicts_need_it_no_more"
    ),
    "mixlab status": "tests/house/test_docs_status.py::test_the_document_shows_a_study_at_work",
    **dict.fromkeys(
        (
            "dvc exp run --name more-math --set-param studies/micro.yaml:variants.even.category.weights.math=2",
            "dvc exp diff main more-math",
            "dvc exp show --only-changed --drop '(plans|receipts|src)/.*'",
            "dvc metrics diff main more-math",
            "dvc plots diff main more-math --targets results/micro/means.csv",
            "dvc exp apply more-math",
        ),
        "tests/e2e/test_dvc_experiments.py::test_the_commands_of_the_document_try_a_ratio_and_compare_it",
    ),
    **dict.fromkeys(
        ("mixlab noise micro even --ipt-seeds 3", "mixlab plan micro | tail -n 6"),
        "tests/house/test_docs_statistics.py::test_the_document_shows_what_replicates_cost_and_what_can_be_found",
    ),
    "mixlab compare --published kodama-oda": (
        "tests/house/test_docs_kodama.py::test_the_document_shows_what_the_command_prints"
    ),
    "dvc repro": "tests/e2e/test_dvc_repro.py::test_dvc_repro_makes_an_edits_descendants_and_a_clone_pulls_the_rest",
}
"""Commands that another test runs, by that test."""

PRETENDED = re.compile(r"\d+ jobs have missing provenance/metadata .*\nRules with missing metadata: .*\n")
"""What Snakemake says of artifacts that are only pretended to be finished."""

RECIPES = {path for path in list_documents() if path.name.startswith("adding-a-")}
"""Followed word by word by test_docs_recipes.py."""


def find_test(test: str) -> bool:
    file, _, name = test.partition("::")
    path = REPOSITORY / file
    return path.is_file() and re.search(rf"^def {name}\(", path.read_text(encoding="utf-8"), re.M) is not None


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with nothing made, under git."""
    root = copy_checkout(tmp_path_factory.mktemp("documents") / "copy", SHIPPED)
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy2(REPOSITORY / name, root)
    # no maintenance in the background, whose lock would come and go while the copy is copied
    identity = "-c user.name=Hanako -c user.email=hanako@lab.example -c maintenance.auto=false -c gc.auto=0"
    run_command(root, f"git init --quiet && git add --all && git {identity} commit --quiet --message begin")
    return root


def test_every_command_in_the_documents_is_run_by_a_test_and_no_other_is_listed() -> None:
    written = {one.text for path in list_documents() if path not in RECIPES for one in read_commands(path)}
    listed = {*SESSION, *DRY, *ELSEWHERE}
    assert written - listed == set(), "say in test_docs.py how these commands are run"
    assert listed - written == set(), "these commands stand in no document any more"
    assert [test for test in ELSEWHERE.values() if not find_test(test)] == []


def test_commands_stand_in_console_blocks_alone() -> None:
    """So that none escapes: a shell block without prompts, or a prompt in a plain block, would."""
    blocks = [block for path in list_documents() for block in read_blocks(path)]
    assert [str(block) for block in blocks if block.language in ("", "bash", "sh", "shell")] == []
    assert [str(one) for one in blocks if one.language != CONSOLE and re.search(r"^\$ ", one.text, re.M)] == []


@pytest.mark.parametrize("command", DRY)
def test_a_command_that_would_take_long_starts(copy: Path, command: str) -> None:
    said = run_command(copy, DRY[command])
    written = next(one for one in read_commands(README) if one.text == command)
    assert not find_difference(written, said)


def test_the_steps_of_readme_are_what_happens(copy: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(copy, root, symlinks=True)
    commands = [one for one in read_commands(README) if one.text in SESSION]
    assert {one.text for one in commands} == set(SESSION)
    for command in commands:
        difference = find_difference(command, PRETENDED.sub("", run_command(root, command.text)))
        assert not difference, difference
        if command.text == "mixlab plan micro":
            pretend_finished(root)


def test_readme_lists_every_mixlab_command_with_what_it_is_for() -> None:
    rows = re.findall(r"^\| `mixlab ([\w-]+)` \| (.+) \|$", README.read_text(encoding="utf-8"), re.M)
    assert dict(rows) == COMMANDS


def test_every_mixlab_command_named_in_a_text_has_the_options_it_is_given() -> None:
    wrong = []
    for path in list_documents():
        text = path.read_text(encoding="utf-8")
        for span in [*re.findall(r"`mixlab ([^`\n]+)`", text), *re.findall(r"^\$ mixlab (.+)$", text, re.M)]:
            name, *words = span.split()
            command = mixlab.get_command(click.Context(mixlab), name) if name in COMMANDS else None
            if isinstance(command, click.Group) and words and words[0] in command.commands:
                command = command.commands[words[0]]
            known = {option for one in command.params for option in one.opts} | {"--help"} if command else set()
            if name not in ("--help", "COMMAND") and (
                command is None or any(word.split("=")[0] not in known for word in words if word.startswith("--"))
            ):
                wrong.append(f"{path.name}: mixlab {span}")
    assert wrong == []


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    broken = []
    for path in list_documents():
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            place, _, anchor = link.partition("#")
            target = (path.parent / place).resolve() if place else path
            if re.match(r"https?:", link):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_files_named_in_a_text_are_there() -> None:
    """A path is a span with a slash that names no pattern; what a recipe makes, it makes itself."""
    gone = []
    for path in list_documents():
        text = path.read_text(encoding="utf-8")
        made = set(re.findall(r"^New file `([^`]+)`:$", text, re.M))
        for name in re.findall(r"`((?:src|tests|docs|rules|workflow|profiles|performance|studies)/[\w./-]+)`", text):
            if name not in made and not (REPOSITORY / name).exists():
                gone.append(f"{path.name}: {name}")
    assert gone == []


def read_stage_rows() -> dict[str, list[str]]:
    rows = [line.split(" | ") for line in ARCHITECTURE.read_text(encoding="utf-8").splitlines()]
    cells = [[cell.strip("| ") for cell in row] for row in rows if len(row) == 6]
    return {row[0].strip("`"): row[1:] for row in cells if row[0].strip("`") in STAGES}


EVERY_ROLE = """\
extends: micro.yaml
filters: [{type: length, tokenizer: bpe, min_tokens: 2}]
contamination: {on_found: drop}
sources:
  math_file: {filters: [{type: exact_duplicates, against: [raw_ja]}]}
  facts: {kind: benchmark, licence: CC0-1.0, origin: {type: generator,
    name: invented_world, size: 9, options: {language: en, category: general, world_seed: 5}}}
  held_out: {kind: instruction, language: en, category: math, licence: CC0-1.0, origin: {type: generator,
    name: invented_world, size: 9, options: {language: en, category: math, world_seed: 5}}}
average: {delta_scale: 1/2}
base_models:
  tiny: {validation: &validation {sources: [held_out], every_steps: 5}}
  read:
    type: hub
    id: acme/model
    tokenizer: bpe
    overrides:
      ipt: {validation: null, training: {trainer: &other {type: external, name: other, version: "1", export: windows}}}
      sft: {validation: null, training: {trainer: *other}}
ipt: {validation: *validation}
sft: {validation: *validation}
effects: []
benchmarks:
  mmlu: {data: facts, examples: facts}
judge: {engine: openai, model: judge, endpoint: none}
pairwise: {comparisons: [{variant: even on tiny, against: math heavy 数学 on tiny}]}
"""
"""What the micro study does not ask for, so that each stage has each of its roles."""
READ_MODEL = {"hub": {"id": "acme/model", "asked": "main", "revision": "a" * 40}}


def test_the_table_of_stages_is_that_of_the_plan(copy: Path) -> None:
    rows = read_stage_rows()
    assert list(rows) == list(STAGES)
    study = copy / "studies/every_role.yaml"
    study.write_text(EVERY_ROLE)
    lock = copy / "sources.lock"
    before = lock.read_text()
    lock.write_text(json.dumps({"sources": {**json.loads(before)["sources"], "base_model/read": READ_MODEL}}))
    plan = build_plan(copy, ["micro", "every_role"], check_files=False).plan
    study.unlink()
    lock.write_text(before)
    for name, stage in STAGES.items():
        parents, reads, makes, reproducible, _ = rows[name]
        nodes = plan.by_stage(name)
        assert set(re.findall(r"`(\w+)`", parents)) == {role for node in nodes for role in node.parents}, name
        assert set(re.findall(r"`(\w+)`", reads)) == {role for node in nodes for role in node.reads}, name
        assert (makes, reproducible) == (stage.makes, stage.reproducible), name


def test_every_line_of_the_profile_is_explained() -> None:
    profile = (REPOSITORY / "profiles/default/config.yaml").read_text(encoding="utf-8")
    keys = re.findall(r"^([\w-]+):", profile, re.M)
    section = ARCHITECTURE.read_text(encoding="utf-8").partition("## Snakemake")[2].partition("\n## ")[0]
    assert [key for key in keys if f"`{key}" not in section] == []


def test_every_decision_is_listed_in_the_architecture() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    decisions = sorted((REPOSITORY / "docs/decisions").glob("*.md"))
    assert [path.name for path in decisions if f"decisions/{path.name}" not in text] == []
    numbers = [path.name[:4] for path in decisions]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_the_edit_table_is_what_the_tests_run() -> None:
    assert EDIT_TABLE.read_text(encoding="utf-8") == render_edit_table(), f"run `{REFRESH}`"
    assert [row.test for row in OTHERS if not find_test(row.test)] == []
