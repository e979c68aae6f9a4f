"""`mixlab import`: Megatron-LM's files of tokens as texts that a study can name as a source."""

from dataclasses import asdict
from pathlib import Path

import click

from mixlab.cli._common import example, json_option, print_json, render_count
from mixlab.config.problems import DataError
from mixlab.config.tokenizers import END_TOKEN
from mixlab.data.exports.megatron_texts import Imported, exclusions_path, import_texts

_COMMAND = "mixlab import corpus_text_document --tokenizer tokenizer.json --end-token '</s>' --out corpus.jsonl"
_file = click.Path(path_type=Path, dir_okay=False)


@click.command(name="import", epilog=example(_COMMAND))
@click.argument("prefix", type=click.Path(path_type=Path))
@click.option("--tokenizer", type=_file, required=True, metavar="FILE", help="The tokenizer.json that made the ids.")
@click.option("--out", type=_file, required=True, metavar="FILE.jsonl", help="File to write; it must not be there.")
@click.option(
    "--end-token", default=END_TOKEN, show_default=True, metavar="TOKEN", help="Special token that ends each document."
)
@click.option("--begin-token", metavar="TOKEN", help="Special token that documents begin with; left out of the texts.")
@click.option("--force", is_flag=True, help="Overwrite what an import wrote before.")
@json_option
def command(
    prefix: Path, tokenizer: Path, out: Path, end_token: str, begin_token: str | None, force: bool, as_json: bool
) -> None:
    """Write the documents of PREFIX.bin and PREFIX.idx as texts, one JSON line each: a raw source of format jsonl.

    Each text is encoded again and compared. Documents that no text can say are told in FILE.exclusions.jsonl with
    their number and the reason: other special tokens in them, bytes that are no UTF-8, blank ones.
    """
    try:
        done = import_texts(prefix, tokenizer, end_token, out, begin_token=begin_token, force=force, tell=_tell)
    except OSError as error:
        raise DataError(f"{out}: cannot be imported: {error.filename or out}: {error.strerror}") from error
    if as_json:
        exclusions = str(exclusions_path(out)) if done.excluded else None
        card = {name: value for name, value in asdict(done).items() if name != "first_reason"}
        print_json({"file": str(out), "exclusions": exclusions, **card})
    else:
        click.echo(render_summary(out, done))


def render_summary(out: Path, done: Imported) -> str:
    """Say in a line what an import wrote and what it left out."""
    parts = [f"{out}: {render_count(done.documents, 'document')}, {render_count(done.tokens, 'token')}"]
    if done.other_ids:
        verb = "encodes as other ids than it was" if done.other_ids == 1 else "encode as other ids than they were"
        parts.append(f"of its texts {done.other_ids} {verb}")
    if done.excluded:
        parts.append(f"{done.excluded} excluded, see {exclusions_path(out)}")
    return "; ".join(parts)


def _tell(line: str) -> None:
    click.echo(f"mixlab: {line}", err=True)
