"""Texts for users keep to the words of CONTRIBUTING.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path for name in ("robust_sparse_tf", "experiments") for path in (ROOT / name).rglob("*.py")
)
TEXTS = [
    *(ROOT / name for name in pages.PAGES if name != "CONTRIBUTING.md"),
    *(ROOT / "experiments").rglob("*.md"),
    *(ROOT / "experiments").rglob("*.flags"),
]
INSTEAD = {
    r"\banew\b": "again",
    r"\bbut for\b": "except",
    r"\b(go|goes|going|went) on\b": "continue, resume",
    r"\b(networks?|models?|tickets?|images?|%) (stands?|stood)\b": "robust to",
    r"\bstands? (FGSM|PGD|an? attack|attacks)\b": "robust to",
    r"\b(classifiers?|regression|networks?) of two classes\b": "binary",
    r"\bthe same bits\b": "bit-identical",
    r"(?<!at )\b[Ll]east (value|number|loss)\b": "minimum",
    r"\bintensity\b": "epsilon",
}


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module, docstrings among them, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize("pattern", INSTEAD)
def test_words_that_we_do_not_write(pattern):
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line, text in strings(path)
        if re.search(pattern, " ".join(text.split()))
    ]
    found += [
        str(path.relative_to(ROOT))
        for path in TEXTS
        if re.search(pattern, " ".join(path.read_text().split()))
    ]
    assert not found, f"write {INSTEAD[pattern]!r} instead"
