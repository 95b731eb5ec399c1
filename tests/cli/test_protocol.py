"""Reports of studies on cells whose settings are not the paper's, or not all of them."""

import importlib
import json
from pathlib import Path

import pytest
import test_lighter_robust_model as lighter
import test_search_sparse_robust as search
import test_sparse_dnns_robustness as sparse
from study_cells import row, sweep, write_tables

from experiments.cli.flags import as_flag
from experiments.runs import options as flags
from experiments.studies.dynamic_sparse_adversarial.protocol import PROTOCOL as DYNAMIC
from experiments.studies.lighter_robust_model.protocol import PROTOCOL as LIGHTER
from experiments.studies.robust_sparse_regularization.protocol import PROTOCOL as REGULARIZED
from experiments.studies.search_sparse_robust.protocol import PROTOCOL as SEARCH
from experiments.studies.sparse_dnns_robustness.protocol import PROTOCOL as SPARSE
from experiments.sweeps.directory import Cell
from experiments.sweeps.grid import parse_grid
from experiments.sweeps.sweep import _REPEATED

PROTOCOLS = {
    "search_sparse_robust": SEARCH,
    "sparse_dnns_robustness": SPARSE,
    "lighter_robust_model": LIGHTER,
    "dynamic_sparse_adversarial": DYNAMIC,
    "robust_sparse_regularization": REGULARIZED,
}


def searched(folder, **given):
    return search.ticket(folder, **given)


def pruned(folder, **given):
    return sparse.network(folder, **given)


def scaled(folder, **given):
    return lighter.capacity(folder, 8, "fgsm", 0.98, 0.97, 0.02, **given)


VARIANTS = ("variants",)
"""Flagfiles whose settings are not the paper's."""
STUDIES = {
    "search_sparse_robust": (searched, "## Table 1: mnist"),
    "sparse_dnns_robustness": (pruned, "0.2862"),
    "lighter_robust_model": (scaled, "(92.02)"),
}
UNLIKE = [
    ("search_sparse_robust", {"dataset": "digits"}),
    ("search_sparse_robust", {"attack.epsilon": 0.1}),
    ("search_sparse_robust", {"eval.epsilon": 0.1}),
    ("search_sparse_robust", {"eval.norm": "l2"}),
    ("search_sparse_robust", {"model": "mlp"}),
    ("search_sparse_robust", {"prune_hidden": 0.5}),
    ("search_sparse_robust", {"method": "set", "density": 0.5}),
    ("search_sparse_robust", {"optimizer": "sgd"}),
    ("sparse_dnns_robustness", {"dataset": "digits"}),
    ("sparse_dnns_robustness", {"attack": "fgsm"}),
    ("sparse_dnns_robustness", {"classes": ["1", "2"]}),
    ("sparse_dnns_robustness", {"learning_rate_arguments": {"gamma": 1e-3, "power": 0.75}}),
    ("lighter_robust_model", {"attack.epsilon": 0.1}),
    ("lighter_robust_model", {"eval.norm": "l2"}),
    ("lighter_robust_model", {"eval.epsilon": 0.2}),
    ("lighter_robust_model", {"batch_size": 32, "optimizer": "adam"}),
]  # fmt: skip


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing takes seconds."""
    for name in STUDIES:
        module = importlib.import_module(f"experiments.studies.{name}.figures")
        monkeypatch.setattr(module, "draw", lambda *_: [])


def told(folder, study, cells) -> tuple[str, dict]:
    measured = sparse.TEXTS if study == "sparse_dnns_robustness" else []
    text = write_tables(str(sweep(folder, study, cells, measurements=measured)))
    return text, json.loads((folder / "report.json").read_text())["study"]


@pytest.mark.parametrize(("study", "given"), UNLIKE)
def test_other_settings_have_no_published_numbers(study, given, no_figures, tmp_path):
    make, shown = STUDIES[study]
    text, content = told(tmp_path, study, [make(tmp_path, **given)])
    name, value = list(given.items())[-1]
    head = text[: text.index("\n## ")]
    assert "**Not the paper's settings:**" in head and f"{name}=" in head.replace("\n", " ")
    assert f"{name}=" in content["settings"][0] and str(value)[:3].strip("[{'") in head
    assert shown not in text and '"mean": ' not in json.dumps(published_of(content))
    assert "(published" not in text and "σ" not in text and "No published number of" not in text


def published_of(content) -> list:
    """All that report.json has under `published` that is not null."""
    if isinstance(content, list):
        return [each for own in content for each in published_of(own)]
    if not isinstance(content, dict):
        return []
    own = [content["published"]] if content.get("published") else []
    return own + [each for value in content.values() for each in published_of(value)]


@pytest.mark.parametrize("study", STUDIES)
def test_those_of_the_study_have(study, no_figures, tmp_path):
    make, shown = STUDIES[study]
    text, content = told(tmp_path, study, [make(tmp_path)])
    assert shown in text and "(published" in text and published_of(content)
    assert "**Not the paper's settings:**" not in text


@pytest.mark.parametrize("study", STUDIES)
def test_both_kinds_of_cells_are_apart(study, no_figures, tmp_path):
    """Ours of the paper have the published numbers, and only they are their trials."""
    make, shown = STUDIES[study]
    cells = [make(tmp_path, **{"batch_size": 7, "clean_weight": 0.25}), make(tmp_path, seed=1)]
    text, content = told(tmp_path, study, cells)
    name = "batch_size" if study != "lighter_robust_model" else "clean_weight"
    assert text.count(shown) == 1 and "1 of 2 cells)" in text and f"{name}=" in text
    trials = [entry["trials"] for entry in compared(content) if entry["published"]]
    assert trials and max(trials) == 1
    assert text.index(f"{name}=", text.index(shown)) > text.index(shown)


def compared(content) -> list[dict]:
    """All comparisons of report.json."""
    if isinstance(content, list):
        return [each for own in content for each in compared(own)]
    if not isinstance(content, dict):
        return []
    own = [content] if "trials" in content and "published" in content else []
    return own + [each for value in content.values() for each in compared(value)]


@pytest.mark.parametrize("study", STUDIES)
def test_budgets_are_told_and_are_no_trials_of_each_other(study, no_figures, tmp_path):
    make, shown = STUDIES[study]
    cells = [make(tmp_path, iterations=count) for count in (10, 20)]
    text, content = told(tmp_path, study, cells)
    assert "**Not the paper's budget:** iterations=10 (the paper: " in text
    assert "iterations=20" in content["settings"][0]
    assert max(entry["trials"] for entry in compared(content)) == 1
    assert text.count(shown) == 2


def test_parts_have_figures_of_their_own(tmp_path):
    cells = [pruned(tmp_path), pruned(tmp_path, l2=0.1)]
    text, content = told(tmp_path, "sparse_dnns_robustness", cells)
    assert content["unlike"] == [] and content["others"][0]["unlike"] == ["l2=0.1"]
    places = [Path("figures"), Path("figures", "part_2")]
    for place in places:
        assert (tmp_path / place / "figure_2.png").exists()
        assert f"({place}/figure_2.png)" in text
    assert "# Part 1: settings of the paper" in text and "# Part 2: l2=0.1" in text
    assert row(text, "LeNet-300-100 ", "# Part 2")[0] == "LeNet-300-100"


@pytest.mark.parametrize("study", PROTOCOLS)
def test_flagfiles_are_of_the_study(study):
    """The first cell of each."""
    paths = sorted(Path("experiments", "studies", study).absolute().glob("*.flags"))
    assert paths
    for path in paths:
        values = flags.parse(["sweep", f"--flagfile={path}"], repeated=_REPEATED)
        first = {name: words[0] for name, words in parse_grid(values["grid"][0]).items()}
        shared = flags.given({k: v for k, v in values.items() if k not in _REPEATED})
        own = flags.parse(["run", *(as_flag(*each) for each in (shared | first).items())])
        cell = Cell("somewhere", {"name": "", "flags": flags.different(own)})
        assert bool(PROTOCOLS[study].unlike(cell)) == (path.stem in VARIANTS)
