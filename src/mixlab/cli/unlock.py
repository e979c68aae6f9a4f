"""`mixlab unlock`: free the working folder after a killed run, unless something of it still lives."""

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from mixlab.artifacts.errors import BusyError
from mixlab.artifacts.locks import list_writers
from mixlab.artifacts.runs import list_runs
from mixlab.cli._common import example, json_option, open_store, print_json, render_count


@click.command(epilog=example("mixlab unlock", "mixlab unlock && snakemake --profile local all"))
@json_option
def command(as_json: bool) -> None:
    """Free the working folder after a killed run.

    After SIGKILL, Snakemake's lock remains and its jobs may live on. While a writer lives, or a run of Snakemake (all
    its jobs may wait in a queue), this refuses, naming host and process; else it runs `snakemake --unlock`.
    """
    store = open_store()
    if writers := list_writers(store.work):
        cure = "wait, or stop it (`mixlab cluster orphans`), then unlock"
        first = f"{render_count(len(writers), 'writer')} still at work; {cure}"
        raise BusyError("\n".join([first, *map(str, writers)]))
    if runs := [run for run in list_runs(store.work) if run.is_alive]:
        cure = "wait for its end, or end it there, then unlock"
        told = [f"a run of Snakemake lives: {run}; {cure}" for run in runs]
        raise BusyError("\n".join(told))
    code = unlock(store.root)
    if code:
        sys.exit(code)
    if as_json:
        print_json({"unlocked": True})
    else:
        click.echo("No run and no writer lives; the working folder is unlocked.")


def unlock(root: Path) -> int:
    """Run `snakemake --unlock` on a workflow of nothing but `all`, so that a study in error is in nobody's way."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "Snakefile"
        empty.write_text("rule all:\n")
        command = [sys.executable, "-m", "snakemake", "--unlock", "--quiet", "all", "--snakefile", str(empty)]
        done = subprocess.run([*command, "--directory", str(root)], cwd=root, stdout=sys.stderr, check=False)
    return done.returncode
