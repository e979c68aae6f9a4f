"""How a user's mistakes are printed."""

import click

from mixlab.config.problems import UserError


def print_error(error: Exception) -> None:
    """Print a user's mistakes to stderr, one a line, each as `file:line: key: message`."""
    count = len(error.problems) if isinstance(error, UserError) else 1
    head = f"mixlab: {count} problems\n" if count > 1 else "mixlab: "
    click.echo(f"{head}{error}", err=True)
