"""The pins of envs/mixlab.yaml: of constraints.txt, what mixlab and its extras need, and all that that needs.

`python tests/house/conda_pins.py --write` writes them into the file.
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = REPOSITORY / "envs/mixlab.yaml"
EXTRAS = ("deepspeed", "fast-bpe", "lm-eval", "tensorboard")
"""Extras of pyproject.toml that the environment has, as the image of envs/mixlab.def does."""
_HEAD = "  - pip:\n"


def read_pins(name: str) -> dict[str, str]:
    """Read a file of constraints: version by the package's name as registries write it."""
    lines = (REPOSITORY / name).read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(package): version for package, version in pins}


def list_pins() -> list[str]:
    """List `name==version` of every package that is needed, by what is installed here; extras of packages too."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(one) for one in project["dependencies"]]
    waiting += [Requirement(one) for extra in EXTRAS for one in project["optional-dependencies"][extra]]
    pins = read_pins("constraints.txt")
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if name not in pins or (name, extra) in seen:
                continue  # what a build of torch for GPUs brings along is not pinned
            seen.add((name, extra))
            try:
                below = [Requirement(one) for one in requires(name) or ()]
            except PackageNotFoundError:
                continue
            waiting += [one for one in below if one.marker is None or one.marker.evaluate({"extra": extra})]
    return [f"{name}=={pins[name]}" for name in sorted({name for name, _ in seen})]


if __name__ == "__main__":
    text = ENVIRONMENT.read_text().partition(_HEAD)[0] + _HEAD + "".join(f"      - {pin}\n" for pin in list_pins())
    if "--write" in sys.argv:
        ENVIRONMENT.write_text(text)
    else:
        sys.stdout.write(text)
