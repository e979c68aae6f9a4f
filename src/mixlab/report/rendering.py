"""Pages from templates; what they hold is escaped."""

from typing import Any

import jinja2


def render_template(name: str, **values: Any) -> str:
    """Render a template of this folder; a value that it asks for and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mixlab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values).lstrip("\n") + "\n"
