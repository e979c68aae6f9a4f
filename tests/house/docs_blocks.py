"""What the documents hold: fenced blocks, the commands in them, and the edits of files that a recipe asks for.

A recipe says above each block what it is for, so that readers and tests see the same: "New file `path`:" or "At the
end of `path`:" (the block is the text), "In `path`:" (a `diff` block: lines that stay, go and come, without numbers).
A `console` block holds commands after `$ ` and what they print; a line `…` stands for any lines.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from checkouts import environment

REPOSITORY = Path(__file__).resolve().parents[2]
CONSOLE, PLAIN, DIFF = "console", "text", "diff"
SPACING = {"python": "\n\n", "snakemake": "\n\n"}
"""What stands between the end of a file and a block that is added to it."""

_FENCE = re.compile(r"^```(\S*)(.*)$")
_PURPOSE = re.compile(r"^(New file|At the end of|In) `([^`]+)`:$")
_CHANGING = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "KEY"),
    (re.compile(r"\d{4}-\d\d-\d\dT\S+ .*"), "MADE"),
)
"""What is another on each machine or after an edit of a spec, and means nothing to a reader."""


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, its text, and the line above it that is not blank."""

    file: Path
    line: int
    language: str
    text: str
    above: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(REPOSITORY)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a console block and the lines that the document says it prints."""

    block: Block
    text: str
    printed: tuple[str, ...]


def list_documents() -> list[Path]:
    """README and all of docs/."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def read_blocks(file: Path) -> list[Block]:
    """Read the fenced blocks of a document in order."""
    blocks: list[Block] = []
    above, start, language, held = "", 0, "", list[str]()
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if start and fence:
            blocks.append(Block(file, start, language, "".join(f"{one}\n" for one in held), above))
            start, above = 0, ""
        elif start:
            held.append(line)
        elif fence:
            start, language, held = number, fence[1], []
        elif line.strip():
            above = line.strip()
    assert not start, f"{file.name}:{start}: a block that is not closed"
    return blocks


def read_commands(file: Path) -> list[Command]:
    """Read the commands of a document's console blocks in order."""
    return [command for block in read_blocks(file) if block.language == CONSOLE for command in split_console(block)]


def split_console(block: Block) -> list[Command]:
    """Split a console block into commands, each with the lines below it."""
    parts: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            parts.append((line.removeprefix("$ "), []))
        else:
            assert parts, f"{block}: a console block begins with a command after `$ `"
            parts[-1][1].append(line)
    return [Command(block, text, tuple(printed)) for text, printed in parts]


def run_command(root: Path, command: str) -> str:
    """Run a command in `root` with the code of `root`, and return all it prints; fails when it does.

    A pytest in it keeps its temporary folders beside `root`: else it would first clean up after every other pytest.
    """
    kept = {name: value for name, value in environment(root).items() if not name.startswith("PYTEST")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    temporary = root.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=root,
        env={**kept, "PATH": path, "PYTEST_DEBUG_TEMPROOT": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"`{command}`: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


def find_difference(command: Command, said: str) -> str:
    """Say how what a command printed differs from what the document says; empty when it does not, or says nothing."""
    written = [_flatten(line) for line in command.printed]
    if not any(written):
        return ""
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line) + r"\n" for line in written)
    lines = "".join(f"{_flatten(line)}\n" for line in said.splitlines())
    if re.fullmatch(rf"\n*{pattern}\n*", lines):
        return ""
    return f"{command.block}: `{command.text}` prints other lines than the document says:\n{said}"


def _flatten(line: str) -> str:
    for pattern, word in _CHANGING:
        line = pattern.sub(word, line)
    return line.rstrip()


def follow(root: Path, block: Block) -> None:
    """Do in a copy what a block asks for: edit a file, or run its commands and compare what they print."""
    if block.language == CONSOLE:
        for command in split_console(block):
            difference = find_difference(command, run_command(root, command.text))
            assert not difference, difference
    elif block.language != PLAIN:
        _edit(root, block)


def read_purpose(block: Block) -> tuple[str, str]:
    """Return what a block does to which file."""
    purpose = _PURPOSE.match(block.above)
    assert purpose, f"{block}: no line above says what it is for, such as `New file` or `In`, but: {block.above}"
    assert (purpose[1] == "In") == (block.language == DIFF), f"{block}: `In` goes with a diff block, and only with one"
    return purpose[1], purpose[2]


def _edit(root: Path, block: Block) -> None:
    kind, name = read_purpose(block)
    path = root / name
    if kind == "New file":
        assert not path.exists(), f"{block}: {name} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    if kind == "In":
        before, after = _split_diff(block)
        assert text.count(before) == 1, f"{block}: these lines stand {text.count(before)} times in {name}:\n{before}"
        text = text.replace(before, after)
    else:
        text += f"{SPACING.get(block.language, '')}{block.text}"
    path.write_text(text, encoding="utf-8")


def _split_diff(block: Block) -> tuple[str, str]:
    """Return the lines a diff block looks for and those it puts there."""
    lines = [line or " " for line in block.text.splitlines()]
    strange = [line for line in lines if line[0] not in " +-"]
    assert not strange, f"{block}: neither kept, removed nor added: {strange}"
    before, after = ("".join(f"{line[1:]}\n" for line in lines if line[0] in signs) for signs in (" -", " +"))
    return before, after
