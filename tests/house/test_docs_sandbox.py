"""The example of docs/sandbox.md prints what the document says."""

import shutil
import subprocess
import sys

import pytest
from docs_blocks import REPOSITORY, read_blocks

from mixlab.evaluation.sandbox import LABEL_BUBBLEWRAP, LABEL_FALLBACK, LABEL_WEAKER

DOCUMENT = REPOSITORY / "docs/sandbox.md"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_the_example_prints_what_the_document_says() -> None:
    program, printed = (block for block in read_blocks(DOCUMENT) if block.language in ("python", "text"))
    done = subprocess.run([sys.executable, "-c", program.text], capture_output=True, text=True, check=True)
    assert done.stdout == printed.text


def test_the_labels_of_the_document_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f"`{LABEL_BUBBLEWRAP}`" in text
    assert [label for label in (LABEL_FALLBACK, LABEL_WEAKER) if f"`{label.split(',')[0]} …`" not in text] == []
