"""LaTeX that is compiled, in a document that holds what the first lines of each table say it needs."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CASES = (
    "50 % & more, a_b #1 $x^2$ ~{}\\",
    "[50, 50] *star",
    "x<y|z> `q` -- ---",
    "control \x07\x7f\x85 \u200b\u202e\ufeffx",
    "ą « » ŋ đ Ð þ é ü ß",
    "“q” … € ™ – — ± × → ≤ ² µ",
    "very long " * 30,
)
"""Labels that pdfLaTeX sets."""
JAPANESE = ("日本語 60 % & more", "〜 ％ ｶﾅ かな カナ 々", "ħ")
"""Labels that LuaLaTeX sets."""
_NEEDS = re.compile(r"% needs (?:LuaLaTeX with )?\\usepackage(\[\w+\])?\{([\w,]+)\}")


def find_latex(program: str, *packages: str) -> str:
    """Say what of LaTeX is missing here; nothing where it can be run."""
    if shutil.which(program) is None:
        return f"no {program} here: Debian has it in texlive-latex-base and texlive-luatex"
    files = [f"{one}.sty" for one in packages]
    found = subprocess.run(["kpsewhich", *files], capture_output=True, text=True, check=False).stdout
    absent = [one for one in files if f"/{one}" not in found]
    cure = "Debian has them in texlive-latex-recommended and texlive-lang-japanese"
    return f"LaTeX here has no {', '.join(absent)}: {cure}" if absent else ""


def list_needs(tables: Sequence[str]) -> tuple[str, list[str]]:
    """The program and the lines that load packages, as the first lines of the tables ask for them."""
    lines = [line for table in tables for line in table.splitlines() if line.startswith("% needs ")]
    program = "lualatex" if any("LuaLaTeX" in line for line in lines) else "pdflatex"
    loaded = [rf"\usepackage{match[1] or ''}{{{match[2]}}}" for line in lines if (match := _NEEDS.match(line))]
    return program, list(dict.fromkeys(loaded))


def compile_tables(tables: Sequence[str], folder: Path) -> tuple[list[str], str]:
    """Compile tables, one a page; return what the program complained of, and the text of the pages."""
    program, loaded = list_needs(tables)
    body = "\n\\clearpage\n".join(tables)
    text = "\n".join([r"\documentclass{article}", *loaded, r"\begin{document}", body, r"\end{document}", ""])
    (folder / "tables.tex").write_text(text, encoding="utf-8")
    command = [program, "-interaction=nonstopmode", "tables.tex"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300)
    log = (folder / "tables.log").read_text(encoding="utf-8", errors="replace")
    told = r"^(?:! .+|Overfull .+|.*Float too large.*|Missing character: .+)$"
    return re.findall(told, log, re.MULTILINE), _read_text(folder / "tables.pdf")


def _read_text(path: Path) -> str:
    if shutil.which("pdftotext") is None or not path.is_file():
        return ""
    return subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True).stdout
