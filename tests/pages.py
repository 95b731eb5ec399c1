"""The README and the pages of the documentation, as tests read them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
}
TEXT = "\n".join(PAGES.values())


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def examples(text: str) -> str:
    """The Python of a page, block after block; not what recipes write to files."""
    return "\n".join(b for b in blocks("python", text) if not re.match(r"# \S+\.py\n", b))


def commands(text: str = TEXT) -> list[list[str]]:
    """Each command once, those of the README first."""
    lines = [line for block in blocks("sh", text) for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in dict.fromkeys(lines)]
    return [list(command) for command in dict.fromkeys(map(tuple, words)) if command]


def anchors(text: str) -> set[str]:
    """What links to the headings of a page end in."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
