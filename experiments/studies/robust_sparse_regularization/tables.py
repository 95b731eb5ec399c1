"""Tables of "Robust Sparse Regularization" (2019) as Markdown, ours beside the published."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.evaluations.stored import Weights
from experiments.reports.published import compare
from experiments.studies.cells import phases, robust_round
from experiments.studies.robust_sparse_regularization.numbers import (
    Networks,
    Number,
    RoundOf,
    Row,
    at,
    printed,
    pruned_to,
)
from experiments.studies.robust_sparse_regularization.protocol import (
    ATTACKS,
    NETWORKS,
    SCHEMES,
    scheme,
)
from experiments.sweeps.directory import Cell
from robust_sparse_tf.texts import markdown_table

_COLUMNS = {"clean": "clean", "pgd": "PGD", "fgsm": "FGSM", "sparsity": "sparsity (%)"}
_QUOTED = {
    "defensive_quantization_wide_resnet": "Defensive Quantization, Wide ResNet",
    "second_rethinking_resnet18": "Second Rethinking of Network Pruning, ResNet-18",
    "differential_privacy_wide_resnet": "Differential Privacy, Wide ResNet",
    "rse_resnext": "Robust Self Ensemble, ResNeXt",
}
_WIDTHS = (0.25, 0.5, 1.0)
_SOURCES = {"vgg16": "VGG-16", "resnet18": "ResNet-18"}


def missing(name: str) -> list[str]:
    """The lines where a table or figure has no network."""
    return [f"{name}: not run.", ""]


def table_1(rows: Mapping[Any, Row], beside: bool) -> list[str]:
    """Table 1: every row, with the missing networks named."""
    own = list(rows.values())
    note = "Test accuracy in percent"
    note += "; ours [deviation over evaluations] (published)." if beside else "."
    lines = ["## Table 1", "", note, "", *_table(own, _COLUMNS), ""]
    gone = [row.network for row in own if row.numbers["clean"].mean is None]
    return lines + ([f"Not run: {'; '.join(gone)}.", ""] if gone else [])


def table_2(nets: Networks) -> list[str]:
    """Table 2: ResNet-18 of three widths."""
    rows = []
    for width in ("0.25", "0.5", "1"):
        for kind, name in (("pgd", "adversarially_trained"), ("rsr", "rsr")):
            place = ("table_2_resnet18_width", width, name)
            own, theirs = nets.of("resnet18", kind, float(width)), None
            round_of: RoundOf = robust_round
            if kind == "rsr":
                to = printed(nets.known, *place, "sparsity")
                theirs = nets.known.figure(*place, "sparsity")
                round_of = pruned_to(to)
            numbers = {
                shown: nets.accuracy(own, round_of, attack, nets.known.figure(*place, shown))
                for attack, shown in (("none", "clean"), ("pgd", "pgd"))
            }
            numbers["sparsity"] = nets.sparsity(own, round_of, theirs)
            if kind == "rsr":
                sparse = numbers["sparsity"].mean
                left = [] if sparse is None else [(100 - sparse) * _share(float(width))]
                numbers["left"] = Number(compare(left, nets.known.figure(*place, "parameters")))
            title = "RSR, pruned" if kind == "rsr" else "adversarially trained"
            rows.append(Row(f"x {width}, {title}", numbers))
    columns = {k: _COLUMNS[k] for k in ("clean", "pgd", "sparsity")}
    columns["left"] = "parameters left of those of x 1 (%)"
    note = (
        "Widths are relative to our widest ResNet-18. Parameters by the square of the width; "
        "14.37 is a misprint of 14.64, and 7.7 takes 0.125 for 0.0628."
    )
    return [
        "## Table 2: ResNet-18 by width",
        "",
        note,
        "",
        *_table(rows, columns),
        "",
        *_gone(rows),
    ]


def _share(width: float) -> float:
    """The share of ResNet-18's parameters at a width, of those at width 1."""
    return {0.25: 701_466, 0.5: 2_797_610}.get(width, 11_173_962) / 11_173_962


def table_3(found: Mapping[str, Any], nets: Networks) -> list[str]:
    """Table 3, which `black_box` measures after the sweep."""
    titles = ["ZOO success", "of those right before", "queries", "images"]
    titles += [f"from {name}" for name in _SOURCES.values()]
    titles += [f"from {name}, clean-trained" for name in _SOURCES.values()]
    rows = [["ResNet-20", *titles]]
    for kind, title in (("pgd", "PGD"), ("rsr", "RSR")):
        own = found.get(kind, {})
        place = ("table_3_black_box_target_resnet20", kind)
        transfer = own.get("transfer", {})
        words = [
            _beside(own.get("zoo_success"), nets.known.figure(*place, "zoo_success")),
            _beside(own.get("zoo_success_of_right"), None),
            str(own.get("queries", "-")),
            str(own.get("images", "-")),
        ]
        for source in _SOURCES:
            theirs = nets.known.figure(*place, f"transfer_from_{source}")
            words.append(_beside(transfer.get(source), theirs))
        words += [_beside(transfer.get(f"{source}, clean"), None) for source in _SOURCES]
        rows.append([title, *words])
    note = (
        "Percent: success of untargeted ZOO, and accuracy under PGD-7 of other networks. Sources "
        "are adversarially trained, and clean-trained beside."
    )
    lines = ["## Table 3: black-box attacks", "", note, "", *markdown_table(rows), ""]
    if not found:
        command = "python -m experiments.studies.robust_sparse_regularization.black_box"
        lines += [f"Not run: `{command} --sweep=FOLDER` adds it.", ""]
    gone = [each for own in found.values() for each in own.get("missing", [])]
    return lines + ([f"Not trained yet: {', '.join(dict.fromkeys(gone))}.", ""] if gone else [])


def table_4(nets: Networks) -> list[str]:
    """Table 4: ours of PGD, PNI and RSR; the others are the published numbers."""
    to = printed(nets.known, "table_1", "resnet18", "after_pruning", "rsr", "sparsity")
    own: list[tuple[str, list[Cell], RoundOf, str]] = [
        ("PGD, ResNet-18", nets.of("resnet18", "pgd"), robust_round, "pgd_resnet18"),
        ("PNI, ResNet-20 (x 4)", nets.of("resnet20", "pni", 4.0), robust_round, "pni_resnet20_4x"),
        ("RSR, ResNet-18", nets.of("resnet18", "rsr"), pruned_to(to), "rsr_resnet18"),
    ]
    rows = [["defense", "clean", "PGD", "sparsity (%)"]]
    for name, cells, round_of, key in own:
        theirs = _of_table_4(nets, key)
        words = [
            nets.accuracy(cells, round_of, attack, figure).text()
            for attack, figure in zip(("none", "pgd"), theirs, strict=False)
        ]
        rows.append([name, *words, nets.sparsity(cells, round_of, theirs[2]).text()])
    if nets.known.beside:
        for key, name in _QUOTED.items():
            values = nets.known.content["table_4"][key]
            shown = ["-" if value is None else f"{value}" for value in values]
            rows.append([f"{name} (published, not run)", *(f"({word})" for word in shown)])
    return ["## Table 4: other defenses", "", *markdown_table(rows), ""]


def _of_table_4(nets: Networks, key: str) -> list[Any]:
    if not nets.known.beside:
        return [None] * 3
    return [{"mean": value} for value in nets.known.content["table_4"][key]]


def table_5(nets: Networks) -> list[str]:
    """Table 5: VGG-16, pruned to a half, with and without noise at inference."""
    place = "table_5_vgg16_half_sparse"
    to = printed(nets.known, "table_1", "vgg16", "after_pruning", "rsr", "sparsity")
    rsr, pgd = nets.of("vgg16", "rsr"), nets.of("vgg16", "pgd")
    own: list[tuple[str, list[Cell], RoundOf, str, str | None]] = [
        ("RSR, noise at inference", rsr, pruned_to(to), "with_inference_noise", None),
        ("RSR, the same network without it", rsr, pruned_to(to), "without", "off"),
        ("PGD", pgd, robust_round, "baseline_pgd", None),
    ]
    rows = []
    for name, cells, round_of, key, noise in own:
        numbers = {
            shown: nets.accuracy(
                cells, round_of, attack, nets.known.figure(place, key, shown), noise
            )
            for attack, shown in (("none", "clean"), ("pgd", "pgd"))
        }
        rows.append(Row(name, numbers))
    columns = {name: _COLUMNS[name] for name in ("clean", "pgd")}
    return ["## Table 5: noise at inference, VGG-16", "", *_table(rows, columns), "", *_gone(rows)]


def lambdas(found: Mapping[float, Mapping[str, float]]) -> list[str]:
    """The numbers of figure 2 (b)."""
    if len(found) < 2:
        return missing("Figure 2 (b)")
    rows = [["lambda", *ATTACKS.values()]]
    for weight, own in found.items():
        rows.append([f"{weight:g}", *(f"{own[a]:.2f}" if a in own else "-" for a in ATTACKS)])
    return ["ResNet-20 by lambda, before pruning (%):", "", *markdown_table(rows), ""]


def below(found: Mapping[str, Weights]) -> list[str]:
    """The numbers of figure 2 (c)."""
    if not found:
        return missing("Figure 2 (c)")
    gammas = list(next(iter(found.values()))["below"])
    rows = [["training", *gammas]]
    for kind, own in found.items():
        rows.append([kind, *(f"{100 * own['below'][gamma]:.2f}" for gamma in gammas)])
    title = "Weights of ResNet-18's convolutions below gamma (%):"
    return [title, "", *markdown_table(rows), ""]


def noise(cells: Sequence[Cell], weights: Mapping[str, Mapping[int, Weights]]) -> list[str]:
    """The size of the noise by round, over layers: whether training shrinks it."""
    rows = [["network", "round", "mean", "minimum", "maximum"]]
    for cell in cells:
        for number, own in weights[cell.name].items():
            sizes = list(own["noise"].values())
            if sizes:
                words = (statistics.fmean(sizes), min(sizes), max(sizes))
                name = phases(cell)[number]
                rows.append([name_of(cell), f"{number}, {name}", *(f"{x:.4f}" for x in words)])
    if len(rows) == 1:
        return []
    note = (
        "Mean alpha times the deviation of the weights, over their mean magnitude, of each layer. "
        "alpha begins at 0.25; of normally distributed weights the ratio is 0.31 then."
    )
    return [
        "## Beyond the paper: size of the noise",
        "",
        note,
        "",
        *markdown_table(rows, left=2),
        "",
    ]


def others(nets: Networks) -> list[Row]:
    """Networks of trainings that the paper does not have."""
    rows = []
    for cell in nets.cells:
        width = cell.flag("width") / nets.base(cell.flag("model"))
        if scheme(cell) == "other" or (scheme(cell) in SCHEMES and width not in _WIDTHS):
            last = len(cell.rounds) - 1
            numbers = {
                shown: nets.accuracy([cell], at(last), attack)
                for attack, shown in (("none", "clean"), ("pgd", "pgd"), ("fgsm", "fgsm"))
            }
            numbers["sparsity"] = nets.sparsity([cell], at(last))
            rows.append(Row(name_of(cell), numbers))
    return rows


def rivals(rows: Sequence[Row]) -> list[str]:
    """The networks of `others`."""
    if not rows:
        return []
    return ["## Beyond the paper: rivals", "", *_table(rows, _COLUMNS), ""]


def name_of(cell: Cell) -> str:
    """The name of a cell's network: model, width, training and seed."""
    kind = scheme(cell)
    words = [NETWORKS.get(cell.flag("model"), cell.flag("model")), f"x {cell.flag('width'):g}"]
    words += [f"{cell.flag('method')} {cell.flag('objective')}" if kind == "other" else kind]
    words += [f"lambda {cell.flag('weight_l1'):g}"] if cell.flag("weight_l1") else []
    words += [f"seed {cell.flag('seed')}"] if cell.flag("seed") else []
    return " ".join(words)


def _table(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    table = [["network", *columns.values()]]
    for row in rows:
        shown = [row.numbers[name].text() if name in row.numbers else "" for name in columns]
        table.append([row.network, *shown])
    return markdown_table(table)


def _gone(rows: Sequence[Row]) -> list[str]:
    gone = [row.network for row in rows if row.numbers["clean"].mean is None]
    return [f"Not run: {'; '.join(gone)}.", ""] if gone else []


def _beside(ours: float | None, theirs: Any) -> str:
    return Number(compare([] if ours is None else [ours], theirs)).text()
