"""The report as Markdown: the same sections; what is folded on the page stays in its CSV file."""

from collections.abc import Sequence

from mixlab.config.analysis import ReportSettings
from mixlab.report.tables import Section, Shown, Table

_MARKS = {"best": ("**", "**"), "second": ("<u>", "</u>"), "": ("", "")}


def render_markdown(settings: ReportSettings, sections: Sequence[Section]) -> str:
    """Render title, notes and sections, figures linked as files beside the page."""
    lines = [f"# {escape(settings.title)}", ""]
    for note in settings.notes:
        lines += [escape(note), ""]
    for place, variant in enumerate(settings.variants, start=1):
        if variant.description:
            lines.append(f"{place}. **{escape(variant.label)}**: {escape(variant.description)}")
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        for sentence in section.sentences:
            lines += [escape(str(sentence)), ""]
        for table in section.tables:
            if not table.folded:
                lines += _render_table(table)
        for figure in section.figures:
            lines += [f"![{escape(figure.title)}]({figure.path})", ""]
        files = sorted({table.path for table in section.tables})
        links = ", ".join(f"[{path}]({path})" for path in files)
        lines += [f"Unrounded, with keys: {links}" if files else "", ""]
    return "\n".join(lines).rstrip() + "\n"


def _render_table(table: Table) -> list[str]:
    lines = [f"**{escape(table.title)}**", ""]
    lines.append("| " + " | ".join(escape(column.label) for column in table.columns) + " |")
    lines.append("|" + "|".join("---:" if column.is_number else "---" for column in table.columns) + "|")
    lines += ["| " + " | ".join(_render_field(shown) for shown in row) + " |" for row in table.rows]
    return [*lines, "", *([escape(table.note), ""] if table.note else [])]


def _render_field(shown: Shown) -> str:
    opening, closing = _MARKS[shown.mark]
    text = f"{opening}{escape(shown.whole)}{closing}"
    return f"[{text}]({shown.file})" if shown.file else text


def escape(text: str) -> str:
    """Keep a label from being taken for markup."""
    for letter in "\\`*_|<>[]#":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())
