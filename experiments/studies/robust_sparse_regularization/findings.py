"""Claims of "Robust Sparse Regularization" (2019), from our numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.evaluations.stored import Weights
from experiments.reports.summary import Judged
from experiments.studies.cells import robust_round
from experiments.studies.claims import UNTESTED, Claim, above, all_of, gain
from experiments.studies.robust_sparse_regularization.numbers import (
    Networks,
    Row,
    printed,
    pruned_to,
)
from experiments.studies.robust_sparse_regularization.protocol import NETWORKS

Table1 = Mapping[tuple[str, str, str], Row]
Pair = tuple[float | None, float | None]
"""Our number, and another one."""

_NAMES = list(NETWORKS.values())
_WIDTHS = ("0.25", "0.5", "1")
_SAME = -1.0  # points: no loss beyond this is "without loss"


def of_table_1(found: Table1, nets: Networks) -> list[Claim]:
    """Section 4.2's claims on table 1."""

    def mean(model: str, phase: str, kind: str, column: str) -> float | None:
        return found[model, f"{phase}_pruning", kind].numbers[column].mean

    def gains(phase: str, model: str, column: str, other: str = "pgd", of: str = "rsr") -> Pair:
        return mean(model, phase, of, column), mean(model, "before", other, column)

    def text(name: str) -> float:
        return printed(nets.known, "claims", "section_4_2", name)

    kept = [
        above(mean(m, "after", "rsr", "clean"), mean(m, "before", "rsr", "clean"), _SAME)
        for m in NETWORKS
    ]
    lost = [
        above(mean(m, "before", kind, "pgd"), mean(m, "after", kind, "pgd"), -_SAME)
        for m in NETWORKS
        for kind in ("pgd", "cni")
    ]
    names = [f"{name}, {kind}" for name in _NAMES for kind in ("PGD", "CNI")]
    unpruned = [above(*gains("before", m, "pgd")) for m in NETWORKS]
    pruned = [above(*gains("after", m, "pgd")) for m in NETWORKS]
    masked = [
        above(mean(m, "before", "rsr", "fgsm"), mean(m, "before", "rsr", "pgd")) for m in NETWORKS
    ]
    return [
        Claim(
            "RSR resists PGD better than training with PGD, both unpruned", all_of(unpruned, _NAMES)
        ),
        Claim(
            "RSR, pruned, resists PGD better than training with PGD, unpruned",
            all_of(pruned, _NAMES),
        ),
        Claim("Pruning costs RSR no clean accuracy (at most 1 point)", all_of(kept, _NAMES)),
        Claim(
            "The same pruning costs PGD and CNI robustness (more than 1 point)", all_of(lost, names)
        ),
        Claim(
            "ResNet-18: RSR, pruned, gains on PGD training under PGD",
            gain(*gains("after", "resnet18", "pgd"), text("resnet18_pruned_pgd")),
        ),
        Claim(
            "ResNet-18: the same under FGSM",
            gain(*gains("after", "resnet18", "fgsm"), text("resnet18_pruned_fgsm")),
        ),
        Claim(
            "VGG-16: RSR gains under PGD", gain(*gains("before", "vgg16", "pgd"), text("vgg16_pgd"))
        ),
        Claim(
            "VGG-16: RSR gains on clean images",
            gain(*gains("before", "vgg16", "clean"), text("vgg16_clean")),
        ),
        Claim(
            "ResNet-20: noise alone gains more under PGD than the lasso alone",
            above(
                mean("resnet20", "before", "cni", "pgd"), mean("resnet20", "before", "lasso", "pgd")
            ),
        ),
        Claim(
            "VGG-16: the lasso alone gains under PGD",
            gain(*gains("before", "vgg16", "pgd", of="lasso"), text("vgg16_lasso")),
        ),
        Claim(
            "VGG-16: noise alone gains under PGD",
            gain(*gains("before", "vgg16", "pgd", of="cni"), text("vgg16_cni")),
        ),
        Claim(
            "A larger network is more robust (ResNet-18 and ResNet-20, PGD and RSR)",
            all_of(
                [
                    above(
                        mean("resnet18", "before", k, "pgd"), mean("resnet20", "before", k, "pgd")
                    )
                    for k in ("pgd", "rsr")
                ],
                ["PGD", "RSR"],
            ),
        ),
        Claim("FGSM leaves more than PGD, so gradients are not masked", all_of(masked, _NAMES)),
    ]


def of_others(
    nets: Networks,
    sparsities: Mapping[str, Sequence[tuple[float, float]]],
    lambdas: Mapping[float, Mapping[str, float]],
    weights: Mapping[str, Weights],
    table_3: Mapping[str, Any],
) -> list[Claim]:
    """Claims on tables 2, 3 and 5, figure 2 and section 5.

    Args:
        nets: the networks.
        sparsities: see `figures.figure_2`.
        lambdas: likewise.
        weights: likewise.
        table_3: see `black_box`; {} if it was not made.
    """
    widths = []
    for width in _WIDTHS:
        own, other = (nets.of("resnet18", kind, float(width)) for kind in ("rsr", "pgd"))
        ours, theirs = (nets.accuracy(each, robust_round, "pgd").mean for each in (own, other))
        widths.append(above(ours, theirs))
    best = max(
        (own["pgd"] for weight, own in lambdas.items() if weight <= 5e-5 and "pgd" in own),
        default=None,
    )
    beyond = [own["pgd"] for weight, own in lambdas.items() if weight > 5e-5 and "pgd" in own]
    small = 100 * weights["rsr"]["below"]["1e-05"] if "rsr" in weights else None
    share = printed(nets.known, "claims", "section_5", "resnet18_below_1e-05")
    vgg = nets.of("vgg16", "rsr")
    half = pruned_to(printed(nets.known, "table_1", "vgg16", "after_pruning", "rsr", "sparsity"))
    noisy = nets.accuracy(vgg, half, "pgd").mean
    quiet = nets.accuracy(vgg, half, "pgd", noise="off").mean
    plain = nets.accuracy(nets.of("vgg16", "pgd"), robust_round, "pgd").mean
    falls = [
        above(points[0][1], points[-1][1], -_SAME) if len(points) > 1 else UNTESTED
        for points in sparsities.values()
    ]
    return [
        Claim(
            "RSR resists PGD better at each width of ResNet-18",
            all_of(widths, [f"x {w}" for w in _WIDTHS]),
        ),
        Claim(
            "Beyond some sparsity RSR loses robustness",
            all_of(falls, [NETWORKS[m] for m in sparsities]),
        ),
        Claim(
            "ResNet-20: a lambda beyond 5e-5 costs robustness",
            above(best, max(beyond, default=None)),
        ),
        Claim(f"ResNet-18: {share:g} % of RSR's weights are below 1e-5", above(small, share, -5.0)),
        Claim("Success of ZOO: RSR gains on PGD", _zoo(table_3, nets)),
        Claim("Transfer leaves more than PGD on the network itself", _transfer(table_3, nets)),
        Claim("VGG-16, pruned: noise at inference adds robustness", above(noisy, quiet)),
        Claim("VGG-16, pruned: without it RSR is still better than PGD", above(quiet, plain)),
    ]


def _zoo(table_3: Mapping[str, Any], nets: Networks) -> Judged:
    ours, other = (table_3.get(kind, {}).get("zoo_success") for kind in ("rsr", "pgd"))
    return gain(ours, other, printed(nets.known, "claims", "section_4_2", "zoo"))


def _transfer(table_3: Mapping[str, Any], nets: Networks) -> Judged:
    found, names = [], []
    for kind, own in table_3.items():
        white = nets.accuracy(nets.of("resnet20", kind), robust_round, "pgd").mean
        for source, left in own.get("transfer", {}).items():
            found.append(above(left, white))
            names.append(f"{kind.upper()} from {source}")
    return all_of(found, names)
