"""What a study could not say: its networks under stronger attacks, with the warnings they earn."""

from typing import Any

from experiments.evaluations.follow_up import evaluation
from robust_sparse_tf.texts import markdown_table

_ILLUSION = 0.3  # of which FGSM leaves so much more is told


def table(attacked: list[dict]) -> tuple[str, list[dict[str, Any]]]:
    """Each network under each attack of the sweep's `--evaluate`, side by side.

    Args:
        attacked: see `robustness.summarise`.

    Returns:
        Markdown ("" where nothing was attacked), and a dict for each network: `network`,
        `accuracies` by attack and epsilon (fractions), `warnings`.
    """
    networks: dict[str, dict[str, Any]] = {}
    for entry in attacked:
        empty = {"network": entry["network"], "accuracies": {}, "warnings": []}
        own = networks.setdefault(entry["network"], empty)
        for row in filter(_is_column, entry["rows"]):
            own["accuracies"].setdefault(_title(entry, row), row["accuracy"])
        own["warnings"] += [w for w in entry["warnings"] if w not in own["warnings"]]
    found = list(networks.values())
    if not found:
        return "", []
    titles = _titles(attacked)
    rows = [["network", *titles, "warnings"]]
    for own in found:
        shown = [own["accuracies"].get(title) for title in titles]
        words = ["" if value is None else f"{100 * value:.1f}" for value in shown]
        rows.append([own["network"], *words, str(len(own["warnings"]))])
    lines = ["## Beyond the study: stronger attacks", "", _note(attacked), ""]
    lines += [*markdown_table(rows), "", _illusions(found), ""]
    lines += [
        f"**Warning**, {own['network']}: {text}\n" for own in found for text in own["warnings"]
    ]
    return "\n".join(lines), found


def _titles(attacked: list[dict]) -> list[str]:
    """Of all columns, in the order in which an evaluation's attacks take their turns.

    Networks may lack one of them, as two classes are too few for some.
    """
    titles: dict[str, None] = {}
    for text in dict.fromkeys(entry["evaluation"] for entry in attacked):
        places: dict[str, int] = {}
        for entry in (entry for entry in attacked if entry["evaluation"] == text):
            for place, row in enumerate(filter(_is_column, entry["rows"])):
                title = _title(entry, row)
                places[title] = max(place, places.get(title, 0))
        titles |= dict.fromkeys(sorted(places, key=places.__getitem__))
    return list(titles)


def _is_column(row: dict[str, Any]) -> bool:
    return row["epsilon"] is not None or row["attack"] == "clean"


def _note(attacked: list[dict]) -> str:
    """On how many images, and that an attack in an ensemble has help from those before it."""
    counts = {}
    for entry in attacked:
        options = evaluation(entry["evaluation"]).options
        counts[", ".join(options.attacks)] = options.examples
    words = [f"{name}: {f'{count:,}' if count else 'all'}" for name, count in counts.items()]
    return (
        f"Accuracy in percent of the first test images ({'; '.join(words)}). The attacks of an "
        "ensemble take turns: each column is what its attack and those before it leave."
    )


def _title(entry: dict[str, Any], row: dict[str, Any]) -> str:
    """The attack with its radius; the worst case by the name of the ensemble, or "worst"."""
    name = row["attack"]
    if name == "clean":
        return name
    if name == "worst":
        ensemble = evaluation(entry["evaluation"]).options.attacks
        name = ensemble[0] if len(ensemble) == 1 else name
    return f"{name} {row['epsilon']:g}"


def _illusions(found: list[dict[str, Any]]) -> str:
    """The networks of which FGSM leaves far more than the strongest attack does."""
    seen, far = 0, []
    for own in found:
        single = [value for title, value in own["accuracies"].items() if title.startswith("fgsm ")]
        if single:
            seen += 1
            least = min(own["accuracies"].values())
            if single[0] - least >= _ILLUSION:
                far.append(f"{own['network']} ({100 * single[0]:.1f} and {100 * least:.1f})")
    if not seen:
        return ""
    text = (
        f"FGSM leaves at least {100 * _ILLUSION:.0f} points more than the strongest attack of "
        f"{len(far)} of {seen} networks"
    )
    return f"{text}: {', '.join(far)}." if far else f"{text}."
