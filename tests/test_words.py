"""Texts for users keep to the words of CONTRIBUTING.md."""

import ast
import functools
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
    r"\b(is|are) told\b|\btells? (of|apart|that|which|whether|how)\b": "report, pass, distinguish",
    r"\bdoes not tell\b": "does not give",
    r"\bsays? nothing\b": "is vacuous, does not show",
    r"\bspeaks? of\b": "is about",
    r"\bonce more\b": "again",
    r"\bafresh\b": "again",
    r"\btakes? turns\b": "one after the other, cumulative",
    r"\b(attack|attacks) of (its |their )?training\b": "training attack",
    r"\bin the mean\b": "on average",
    r"\bof (any|many|all|the wrong) kinds?\b": "any exception, the wrong type",
    r"\bas (it|they) (was|were) written\b": "intact, damaged",
    r"\bwhat is no\b": "anything else than, unless it is",
    r"\btakes? the place of\b": "replaces",
    r"\bso (much|many) of\b": "this multiple of",
    r"\b(steps|iterations|epochs|dots|gradients|one|row|line) an? "
    r"(round|step|epoch|inch|batch|network|cell|seed|file|attack|core|trial)\b": "per",
}
# A docstring says what a thing is or does, with a noun or a verb.
BEGINNINGS = re.compile(r"(What|Of|Such as|As)\b")


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def texts() -> list[tuple[str, str]]:
    """Each text for users on one line, with its place: strings of modules, and pages."""
    found = [
        (f"{path.relative_to(ROOT)}:{line}", text)
        for path in SOURCES
        for line, text in strings(path)
    ]
    found += [(str(path.relative_to(ROOT)), path.read_text()) for path in TEXTS]
    return [(place, " ".join(text.split())) for place, text in found]


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module, docstrings among them, with their lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Those of a module, its classes and its functions, with their lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def test_docstrings_begin_with_a_noun_or_a_verb():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line, text in docstrings(path)
        if BEGINNINGS.match(text)
    ]
    assert not found


@pytest.mark.parametrize("pattern", INSTEAD)
def test_words_that_we_do_not_write(pattern):
    found = [place for place, text in texts() if re.search(pattern, text)]
    assert not found, f"write {INSTEAD[pattern]!r} instead"
