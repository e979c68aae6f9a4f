"""`mixlab schema`: what may be written in a study and in config.yaml, for editors and for people."""

import re
from typing import Any

import click

from mixlab.cli._common import example, json_option, print_json
from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.machine import MainConfig
from mixlab.config.pools import Registry
from mixlab.config.schema import allow_assumed, json_schema, render_reference
from mixlab.config.studies import DEFAULTS, VARIANTS
from mixlab.config.study import Study, VariantConfig

REFERENCE_COMMAND = "mixlab schema --reference > docs/config.md"
"""What writes docs/config.md."""

_DEFAULTS_TEXT = (
    "keys that every variant takes where it does not set them itself; a variant's own key replaces them whole"
)

_LONG_DEFAULT = re.compile(r"\| `[^`\n]{200,}` \|")

_INTRODUCTION = f"""# Configuration reference

Written by `{REFERENCE_COMMAND}`; edit the descriptions in `src/mixlab/config/`, not this file.

* `config.yaml` holds [MainConfig](#mainconfig): the study that runs by default, and this machine.
* `studies/<name>.yaml` holds a [Study](#study).
* `studies/<folder>/<name>.yaml` holds a [Study](#study) where it has a `title:`, else what studies extend, as a
  [Registry](#registry) of sources and pools.
* `src/mixlab/config/benchmarks_declared/<name>.yaml` holds a [BenchmarkDeclaration](#benchmarkdeclaration).

Files are YAML 1.2: `1e-4` is a number, `no` is a word. An unknown key is an error. Shares and weights are exact: `0.5`,
`1/2` and `50 %` are one number, and `33.33 %` is not `1/3`.

Any value of a study or registry may be written `{{value: 0.1, assumed: "why this value"}}`: the report lists what was
assumed. Two keys stand beside those of a model:

* `extends: other.yaml`, at the top of any of these files: the keys of another file, relative to this one, that this one
  changes. Mappings merge, lists and scalars replace, null removes; where null is a value of its own, as of
  `gradient_clip`, it stays. `extends: [one.yaml, two.yaml]` takes both; what they say differently of one key is an
  error.
* `{DEFAULTS}:`, at the top of a study: {_DEFAULTS_TEXT}.
"""


@click.command(
    epilog=example("mixlab schema > study.schema.json", "mixlab schema config", REFERENCE_COMMAND),
)
@click.argument("which", type=click.Choice(("study", "config", "sources")), default="study")
@click.option("--reference", is_flag=True, help="Print the Markdown reference of every key instead.")
@json_option
def command(which: str, reference: bool, as_json: bool) -> None:
    """Print the JSON schema of a study, of config.yaml or of a registry; editors check and complete with it."""
    if reference and as_json:
        print_json({"reference": render_config_reference()})
    elif reference:
        click.echo(render_config_reference(), nl=False)
    elif which == "study":
        print_json(build_study_schema())
    else:
        schema = json_schema(MainConfig) if which == "config" else allow_assumed(json_schema(Registry))
        print_json(_with_extends(schema))


def build_study_schema() -> dict[str, Any]:
    """Build the JSON schema of a study file: a variant may leave out what variant_defaults gives."""
    schema = _with_extends(json_schema(Study))
    variant = schema["$defs"][VariantConfig.__name__]
    variant.pop("required", None)
    reference = {"$ref": f"#/$defs/{VariantConfig.__name__}"}
    schema["properties"][DEFAULTS] = {**reference, "description": _DEFAULTS_TEXT}
    schema["properties"][VARIANTS]["additionalProperties"] = {"anyOf": [reference, {"type": "null"}]}
    return allow_assumed(schema)


def _with_extends(schema: dict[str, Any]) -> dict[str, Any]:
    """A file that extends another may leave out what the other gives."""
    required = schema.pop("required", [])
    return {**schema, "anyOf": [{"required": ["extends"]}, {"required": required}]}


def render_config_reference() -> str:
    """Render the text of docs/config.md; defaults that are whole texts are left out."""
    reference = render_reference([MainConfig, Study, Registry, BenchmarkDeclaration])
    return f"{_INTRODUCTION}\n{_LONG_DEFAULT.sub('| (long) |', reference)}"
