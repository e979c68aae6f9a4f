"""`mixlab fetch`: artifacts of any branch by their key, for a look; nothing that git keeps is changed."""

import click

from mixlab.artifacts.restoring import bring_artifacts
from mixlab.cli._common import example, json_option, open_store, print_json, render_bytes, render_count
from mixlab.cli._lookup import choose_pointers, find_everywhere, require_asked
from mixlab.cli._selection import count_stages, describe_names, is_key
from mixlab.config.problems import ConfigError, Problem


@click.command(epilog=example("mixlab fetch 431bfac04c1bd901", "mixlab fetch 431bfac0 --digest 5b0f2c1de8aa"))
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--digest", metavar="DIGEST", help="Which bytes, where branches track several of one key.")
@json_option
def command(keys: tuple[str, ...], digest: str | None, as_json: bool) -> None:
    """Fetch artifacts that any branch, tag or earlier commit tracks into artifacts/, verified.

    The pointer is looked for here, then on every branch and tag, then in history; it is not written, so that git sees
    no change: `mixlab restore KEY` writes it as well, `mixlab track KEY` later. A key may be shortened. What is here
    with other bytes than those asked for stays, and the exit code is 2.
    """
    store = open_store()
    if problems := [
        Problem(f"'{word}' is no key: hex digits, at least four of them") for word in keys if not is_key(word)
    ]:
        raise ConfigError(problems)
    found = find_everywhere(store, dict.fromkeys(keys))
    pointers = choose_pointers(store, found, digest)
    wanted = [pointer for pointer in pointers if not store.is_complete(*pointer.name)]
    require_asked(store, [pointer for pointer in pointers if pointer not in wanted])
    fetched = bring_artifacts(store, wanted)
    here = [pointer.name for pointer in pointers if pointer not in wanted]
    if as_json:
        size = sum(pointer.bytes for pointer in wanted)
        print_json({"fetched": describe_names(fetched), "here": describe_names(here), "bytes": size})
        return
    for stage, key in here:
        click.echo(f"{stage} {key}: here already")
    if fetched:
        size_text = render_bytes(sum(pointer.bytes for pointer in wanted))
        click.echo(f"Fetched {render_count(len(fetched), 'artifact')} ({size_text}): {count_stages(fetched)}")
        click.echo("\n".join(f"  artifacts/{stage}/{key}" for stage, key in fetched))
