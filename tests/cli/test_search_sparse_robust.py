"""The report of "The Search for Sparse, Robust Neural Networks", of cells made by hand."""

import json
import os
import shutil

import numpy as np
import pytest
from matplotlib import image
from study_cells import cell, sweep, write_report, write_tables

from experiments import report
from experiments.evaluations.follow_up import stored_evaluation
from experiments.reports import published
from robust_sparse_tf.procedures import CheckpointStore

STUDY = "search_sparse_robust"
DENSITIES = [1.0, 0.513, 0.3, 0.169]
PUBLISHED = {"label_smoothing": 0.1} | {
    f"{group}.{name}": value
    for group in ("attack", "eval")
    for name, value in (
        ("attack_labels", "predicted"),
        ("random_start", True),
        ("step_size", 0.05),
    )
}


def ticket(folder, attack="fgsm", *, base=0.9, densities=DENSITIES, every=10, **given):
    """Clean accuracy is `base`, and less by 0.1 a round; attacked by .2 less; later .01 more."""
    accuracies = [
        [
            {"none": base - 0.1 * number + place, "fgsm": base - 0.2 - 0.1 * number + place}
            for place in (0, 0.01)
        ]
        for number in range(len(densities))
    ]
    given = {"dataset": "mnist", "attack": attack, "eval_attacks": ["fgsm"]} | PUBLISHED | given
    return cell(folder, accuracies, densities, every=every, **given)


def rows(text: str) -> dict[str, list[str]]:
    """The first table's rows by their first column."""
    table = [line for line in text.splitlines() if line.startswith("|")][2:]
    found = {}
    for line in table:
        first, *rest = [word.strip() for word in line.strip("|").split("|")]
        if first in found or first == "---:" or not first[0].isdigit():
            break
        found[first] = rest
    return found


def test_ours_stand_beside_the_published(tmp_path):
    cells = [ticket(tmp_path, base=0.98 + 0.01 * seed, seed=seed) for seed in (0, 1)]
    cells.append(ticket(tmp_path, "none", base=0.97))
    text = write_tables(str(sweep(tmp_path, STUDY, cells)))
    known = published.load(STUDY)["table_1_digits"][0]
    theirs = known["fgsm_natural"]["adversarially_trained"]
    sigma = (99.5 - theirs["mean"]) / theirs["std"]
    natural, trained, attacked, robust = rows(text)["100"]
    assert trained == (f"99.50 ± 0.71 ({theirs['mean']:.2f} ± {theirs['std']:.2f}; {sigma:+.1f} σ)")
    assert natural.startswith("98.00 (") and attacked.startswith("78.00 (")
    assert robust.startswith("79.50 ± 0.71 (")
    assert rows(text)["51.3"][1].startswith("89.50 ± 0.71 (")
    assert rows(text)["16.9"][1].startswith("69.50 ± 0.71 (")
    assert rows(text)["8.7"][1].startswith("- (")
    assert "rewound to the initialisation, iteration 20" in text
    (table,) = json.loads((tmp_path / "report.json").read_text())["study"]["tables"]
    assert (table["iteration"], table["rewind_to"]) == (20, "initial")
    assert "3 of 3 cells" in text and "Trials: natural 1 (one seed), FGSM 2." in text


@pytest.mark.parametrize(
    "sizes, words",
    [((0,), None), ((500,), "the first 500 test"), ((2000, 0), "the first 2,000 or all test")],
)
def test_says_how_many_images_are_tested(sizes, words, tmp_path):
    cells = [ticket(tmp_path, seed=place, test_size=size) for place, size in enumerate(sizes)]
    text = write_tables(str(sweep(tmp_path, STUDY, cells)))
    assert f"Accuracies are of {words} images." in text if words else "Accuracies are" not in text


def test_counts_what_is_near_the_published(tmp_path, monkeypatch):
    """Within two published deviations, within a point, and within either."""
    near = {"normally_trained": {"mean": 90.9, "std": 0.1}, "adversarially_trained": {}}
    far = {"normally_trained": {"mean": 70.2, "std": 0.2}, "adversarially_trained": {}}
    row = {"P_m_percent": 100.0, "fgsm_natural": near, "fgsm_attack": far}
    study = {"study": "Some", "table_1_digits": [row]}
    monkeypatch.setattr(published, "load", lambda name: study)
    sweep(tmp_path, STUDY, [ticket(tmp_path, "none")])
    for mean, std, counts in (
        (70.2, 0.2, (1, 2, 2)),
        (69.5, 0.2, (1, 1, 1)),
        (69.5, 0.8, (2, 1, 2)),
    ):
        far["normally_trained"] = {"mean": mean, "std": std}
        text = write_tables(str(tmp_path))
        deviations, points, either = counts
        assert (
            f"Of 2 figures {deviations} are within 2 published standard deviations of the "
            f"published ones, {points} within 1 point, and {either} within either."
        ) in text
        missed = "Not within either (points): normally trained at 100 %, under FGSM (+1.50)."
        assert (missed in text) == (either == 1)


def test_the_iteration_that_the_study_means(tmp_path):
    """Not the last one, where that is another."""
    text = write_tables(str(sweep(tmp_path, STUDY, [ticket(tmp_path, every=12_510)])))
    assert "iteration 25,020 (for the published iteration 30,000)" in text
    assert "iteration 12,510" not in text


def test_a_missing_published_row_is_told(tmp_path, monkeypatch):
    study = published.load(STUDY)
    kept = [row for row in study["table_1_digits"] if row["P_m_percent"] != 51.3]
    monkeypatch.setattr(published, "load", lambda name: study | {"table_1_digits": kept})
    text = write_tables(str(sweep(tmp_path, STUDY, [ticket(tmp_path), None])))
    assert "No published numbers for mnist at 51.3 %." in text
    assert rows(text)["51.3"][1] == "81.00" and "(" in rows(text)["100"][1]
    assert "1 of 2 cells" in text
    del kept[0]["fgsm_attack"]
    assert "No published numbers for mnist at 100 %: under FGSM." in write_tables(str(tmp_path))


def test_says_what_held(tmp_path):
    """Of a published table with the same densities."""
    cells = [ticket(tmp_path), ticket(tmp_path, "none", base=0.8)]
    better = [ticket(tmp_path, "pgd", densities=[1.0, 0.513], eval_attacks=["pgd"])]
    (path,) = [tmp_path / made["name"] / "metrics.jsonl" for made in better]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line, robust in zip(lines, (0.4, 0.5, 0.6, 0.7), strict=True):
        line["test"] = {"clean_accuracy": 0.9 + robust / 1000, "robust_accuracy": {"pgd": robust}}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write_tables(str(sweep(tmp_path, STUDY, cells + better)))
    known = {row["P_m_percent"]: row for row in published.load(STUDY)["table_1_digits"]}
    dense, least = (
        known[percent]["pgd_attack"]["adversarially_trained"]["mean"] for percent in (100, 51.3)
    )
    assert (
        "- Trained with FGSM, networks are most robust to FGSM where they are dense, 71.00 % "
        "(published: "
    ) in text
    assert (
        "- Trained with PGD, networks are most robust to PGD with 51.3 % of the weights, 70.00 % "
        f"(dense 50.00) (published: with 51.3 % of the weights, {least:.2f} % (dense {dense:.2f}))."
    ) in text
    near = "natural accuracy is within 1 point of the dense one's down to"
    assert f"- Trained with FGSM, {near} 100 % of the weights (published: down to" in text
    assert f"- Trained with PGD, {near} 51.3 % of the weights (published: down to" in text
    assert (
        "- Trained naturally, networks are robust to FGSM on 61.00 % of the images at most" in text
    )
    assert "Trained naturally, networks are robust to PGD" not in text


def test_figures(tmp_path):
    """One of each kind; tickets only where a checkpoint still holds what they are rewound to."""
    cells = [ticket(tmp_path), ticket(tmp_path, "none", strategy="random")]
    cells.append(ticket(tmp_path, "none", dataset="fashion_mnist"))
    text = write_report(str(sweep(tmp_path, STUDY, cells)))
    paths = set((tmp_path / "figures").iterdir())
    names = {path.name for path in paths if path.suffix == ".png"}
    kinds = ("iterations", "strategies")
    drawn = {f"{data}_{kind}.png" for data in ("mnist", "fashion_mnist") for kind in kinds}
    assert names == drawn | {"table_1.png"}
    assert {path.stem for path in paths if path.suffix == ".pdf"} == {name[:-4] for name in names}
    assert all(f"](figures/{name})" in text for name in names)
    for name in names:
        pixels = image.imread(tmp_path / "figures" / name)[..., :3]
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    store = CheckpointStore(str(tmp_path / cells[0]["name"] / "checkpoints"))
    weights = np.random.default_rng(0).normal(size=(8, 4))
    store.save(1, {"rewind/000": weights, "rewind/001": weights[0], "rewind/002": weights}, {})
    assert "mnist_tickets.png" in write_report(str(tmp_path))


def test_trials_may_have_other_rounds(tmp_path):
    """A trial with fewer, as of an experiment, counts where it has them."""
    cells = [ticket(tmp_path, base=0.9), ticket(tmp_path, base=0.94, densities=[1.0], seed=1)]
    text = write_tables(str(sweep(tmp_path, STUDY, cells)))
    assert "Trials: FGSM 2." in text and (tmp_path / "figures" / "mnist_strategies.png").exists()
    assert rows(text)["100"][1].startswith("93.00 ±") and rows(text)["51.3"][1][:7] == "81.00 ("


def test_strategies_stand_side_by_side(tmp_path):
    cells = [ticket(tmp_path, base=0.9 + 0.02 * seed, seed=seed) for seed in (0, 1)]
    cells.append(ticket(tmp_path, base=0.88, strategy="random"))
    cells.append(ticket(tmp_path, base=0.89, strategy="continued", densities=[1.0, 0.513]))
    text = write_tables(str(sweep(tmp_path, STUDY, cells)))
    head, _, *found = text[text.index("trained with FGSM: strategies") :].splitlines()[4:9]
    assert head.count("original (initial)") == head.count("random") == head.count("continued") == 2
    assert [line.replace(" ", "").strip("|").split("|") for line in found] == [
        ["100", "92.00", "89.00", "90.00", "72.00", "69.00", "70.00"],
        ["51.3", "82.00", "79.00", "80.00", "62.00", "59.00", "60.00"],
        ["16.9", "62.00", "59.00", "-", "42.00", "39.00", "-"],
    ]
    assert "original (initial) is better in 2 of 2 densities, by +3.00 points on average" in text
    assert "continued is better in 1 of 1 densities, by +1.00 points on average" in text


@pytest.mark.parametrize(
    "unlike",
    [{"eval.attack_labels": "true"}, {"label_smoothing": 0.0}, {"attack.epsilon": 0.1}],
)
def test_cells_unlike_the_published_are_no_trials_of_the_others(unlike, tmp_path):
    cells = [ticket(tmp_path), ticket(tmp_path, base=0.8, seed=1, **unlike)]
    text = write_report(str(sweep(tmp_path, STUDY, cells)))
    ((name, value),) = unlike.items()
    published, changed = json.loads((tmp_path / "report.json").read_text())["study"]["tables"]
    assert published["unlike_published"] == []
    assert changed["unlike_published"] == [f"{name}={value}"]
    assert f"rewound to the initialisation, iteration 20, {name}={value}\n" in text
    ours = [table["rows"][1]["natural"] for table in (published, changed)]
    assert [(entry["trials"], round(entry["mean"])) for entry in ours] == [(1, 91), (1, 81)]
    assert f"| natural: original (initial), {name}={value} |" in text
    rows_drawn = image.imread(tmp_path / "figures" / "mnist_iterations.png").shape[0]
    assert rows_drawn > 1.5 * 2.5 * 70


def test_stronger_attacks_stand_side_by_side(tmp_path):
    one = ticket(tmp_path)
    evaluations = [
        "--attacks=quick --epsilons=0.3 --rounds=0",
        "--attacks=standard --epsilons=0.3 --rounds=0",
    ]
    for text, attack, left in zip(evaluations, ("fgsm", "square"), (0.9, 0.05), strict=True):
        _attacked(tmp_path / one["name"], text, attack, left)
    text = write_tables(str(sweep(tmp_path, STUDY, [one], evaluations=evaluations)))
    assert (
        "| network | clean | fgsm 0.3 | quick 0.3 | square 0.3 | standard 0.3 | warnings |" in text
    )
    assert "| lottery 100 % | 95.0 | 90.0 | 90.0 | 5.0 | 5.0 | 1 |" in text
    assert "of 1 of 1 networks: lottery 100 % (90.0 and 5.0)." in text
    assert "**Warning**, lottery 100 %: masked" in text
    shutil.rmtree(tmp_path / one["name"] / "rounds" / "0" / "robustness")
    assert "stronger attacks" not in write_tables(str(tmp_path))


def _attacked(place, text, attack, left):
    (path,) = stored_evaluation(text).files(str(place))
    base = dict(norm="linf", distance=1, seconds=2)
    found = [
        dict(base, attack="clean", epsilon=None, accuracy=0.95),
        dict(base, attack=attack, epsilon=0.3, accuracy=left),
        dict(base, attack="worst", epsilon=0.3, accuracy=left),
    ]
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        json.dump({"rows": found, "warnings": ["masked"]}, file)


def test_nothing_finished_is_one_line(tmp_path, capsys):
    assert report.main(["report", str(sweep(tmp_path, STUDY, [None]))]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("densities", [[1.0], [1.0, 0.018]])
def test_whatever_is_there_is_reported(densities, tmp_path):
    text = write_tables(str(sweep(tmp_path, STUDY, [ticket(tmp_path, densities=densities)])))
    assert [row for row, words in rows(text).items() if not words[1].startswith("-")] == [
        f"{100 * density:g}" for density in densities
    ]
