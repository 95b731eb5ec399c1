"""The summary of a study: lengths, trials, agreement and verdicts, of a report made by hand."""

import json

import pytest

from experiments.reports import summary
from experiments.reports.published import Comparison
from experiments.reports.summary import HELD, NOT_HELD, UNTOLD, Item, Judged


def comparison(difference: float | None, std: float | None, mean: float = 50.0) -> dict:
    figure = {"mean": mean, "std": std}
    return vars(Comparison(mean=0.0, std=0.0, trials=1, published=figure, difference=difference))


@pytest.mark.parametrize(
    "found, unit, words, verdict",
    [
        (
            [comparison(1.5, 1.0), comparison(3.0, 1.0)],
            " point",
            "1 of 2 within 2 σ, 0 of 2 within 1 point",
            "agrees in part",
        ),
        (
            [comparison(0.5, None), comparison(None, 1.0)],
            " point",
            "1 of 1 within 1 point",
            "agrees",
        ),
        ([comparison(-0.6, None)], " %", "0 of 1 within 1 %", "differs"),
        ([comparison(-0.4, 0.1)], " %", "0 of 1 within 2 σ, 1 of 1 within 1 %", "differs"),
        ([comparison(None, 1.0)], " point", "nothing published", "drawn"),
    ],
)
def test_near(found, unit, words, verdict):
    assert summary.near(found, 1.0, unit) == Judged(words, verdict)


@pytest.mark.parametrize(
    "ours, verdict", [(52.0, HELD), (48.0, NOT_HELD), (50.5, UNTOLD), (49.5, UNTOLD)]
)
def test_compared(ours, verdict):
    assert summary.compared(ours, 50.0, 1.0, "{:g} and {:g}") == Judged(f"{ours:g} and 50", verdict)


@pytest.mark.parametrize(
    "held, verdict", [([True, True], HELD), ([True, False], "held in part"), ([False], NOT_HELD)]
)
def test_counted(held, verdict):
    assert summary.counted(held, "cases").verdict == verdict


def cell(name: str, **flags: object) -> dict:
    return {"name": name, "flags": flags}


def rows(tmp_path, *items: Item) -> list[list[str]]:
    report = {
        "seconds": 5400,
        "cells": [
            cell("a", iterations=100, attack="pgd"),
            cell("b", iterations=100, attack="pgd", seed=1),
            cell("c", iterations=1000, attack="fgsm"),
        ],
        "study": {
            "beyond": [
                {"network": "lottery 100 %, attack=pgd", "accuracies": {"standard 0.3": 0.25}},
                {"network": "lottery 10 %, attack=pgd", "accuracies": {"standard 0.3": 0.5}},
                {"network": "lottery 1 %, attack=fgsm", "accuracies": {"quick 0.3": 0.5}},
            ]
        },
    }
    folder = tmp_path / "paper" / "short"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))
    *table, empty, cost = summary.table(items, "paper", str(tmp_path))
    assert empty == "" and cost.endswith("each on one core: short 1.5.")
    return [[word.strip() for word in line.strip("|").split("|")] for line in table[2:]]


def test_table(tmp_path):
    def judge(report):
        return Judged(f"{len(report['cells'])} cells", HELD)

    pgd = Item(
        name="Table 1",
        flagfile="full",
        stored="short",
        judge=judge,
        cells={"attack": ["pgd"]},
        length=200,
        networks="attack=pgd",
    )
    every = Item(name="Figure 1", stored="short", length=2000, networks="attack=fgsm")
    alone = Item(name="Claim", stored="short", judge=judge, cells={"attack": ["fgsm"]})
    link = "[short](results/paper/short/report.md)"
    assert rows(tmp_path, pgd, every, alone, Item(name="Figure 2")) == [
        ["Table 1", "`full`", link, "100 of 200", "2", "3 cells", HELD, "25.0 to 50.0"],
        [
            "Figure 1",
            "-",
            link,
            "100 or 1,000 of 2,000",
            "1 or 2",
            "nothing published",
            "not tested: too short",
            "-",
        ],
        ["Claim", "-", link, "-", "1", "3 cells", HELD, "-"],
        ["Figure 2", "-", "-", "-", "-", "-", "not tested", "-"],
    ]
