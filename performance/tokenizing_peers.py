"""One peer on one file of JSON lines: `python tokenizing_peers.py PEER texts.jsonl TOKENIZER_FOLDER`.

Run by an interpreter that has the peer; imports nothing of ours. Each does its usual way from text to ids on disk, with
one process and the end token behind every document.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any


def run_datasets(texts: Path, tokenizer_file: Path, out: str) -> None:
    """`datasets`: load, map in batches, save."""
    from datasets import disable_progress_bars, load_dataset
    from tokenizers import Tokenizer

    disable_progress_bars()
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    end = tokenizer.token_to_id("<|end|>")

    def encode(rows: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        found = tokenizer.encode_batch_fast(rows["text"], add_special_tokens=False)
        return {"ids": [[*one.ids, end] for one in found]}

    data = load_dataset("json", data_files=str(texts), split="train", cache_dir=f"{out}/cache")
    data.map(encode, batched=True, remove_columns=["text"]).save_to_disk(f"{out}/saved")


def run_datatrove(texts: Path, tokenizer_file: Path, out: str) -> None:
    """`datatrove`: JsonlReader and DocumentTokenizer, not shuffled."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    steps = [
        JsonlReader(str(texts.parent), glob_pattern=texts.name),
        DocumentTokenizer(
            f"{out}/tokens", tokenizer_name_or_path=str(tokenizer_file), eos_token="<|end|>", shuffle_documents=False
        ),
    ]
    LocalPipelineExecutor(pipeline=steps, tasks=1, workers=1, logging_dir=f"{out}/logs").run()


def encode_lines(tokenizer_file: Path, path: str) -> Iterator[Any]:
    """What `litdata` calls in a process of its own for each file."""
    import numpy as np
    import torch
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    end = tokenizer.token_to_id("<|end|>")
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            ids = tokenizer.encode_batch_fast([json.loads(line)["text"]], add_special_tokens=False)[0].ids
            yield torch.from_numpy(np.array([*ids, end], dtype=np.int32))


def run_litdata(texts: Path, tokenizer_file: Path, out: str) -> None:
    """`litdata`: optimize with its loader of tokens."""
    from litdata import TokensLoader, optimize

    optimize(
        fn=partial(encode_lines, tokenizer_file),
        inputs=[str(texts)],
        output_dir=f"{out}/tokens",
        chunk_bytes="64MB",
        num_workers=1,
        item_loader=TokensLoader(),
    )


def main() -> None:
    """Run the peer named on the command line."""
    peer, texts, tokenizer = sys.argv[1:]
    run = {"datasets": run_datasets, "datatrove": run_datatrove, "litdata": run_litdata}[peer]
    with tempfile.TemporaryDirectory() as out:
        run(Path(texts), Path(tokenizer) / "tokenizer.json", out)


if __name__ == "__main__":
    main()
