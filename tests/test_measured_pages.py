"""The numbers in the README and the documentation are those that were measured and stored."""

import json
import os
import re

from pages import PAGES, ROOT, TEXT

from robust_sparse_tf.export import record


def test_speeds_are_the_measured_ones():
    with open(os.path.join(ROOT, "experiments", "results", "bench_train.json")) as file:
        measured = json.load(file)
    table = re.search(r"\| steps per second \|\n.*?\n\n", TEXT, re.DOTALL).group()
    stated = [int(cell) for cell in re.findall(r"\| (\d+) \|", table)]
    assert stated == [round(speed) for speed in measured["steps_per_second"].values()]
    assert f"That is {measured['d_over_b']:.2f} times" in TEXT


def test_costs_are_the_measured_ones():
    with open(os.path.join(ROOT, "experiments", "results", "bench_sparsity.json")) as file:
        measured = json.load(file)
    lenet, resnet = (measured["update_ms"][name] for name in ("lenet_300_100", "resnet18"))
    overhead = measured["w1"]["overhead"]
    for stated in (
        f"takes {lenet['ours']:.1f} ms on LeNet-300-100 ({lenet['numpy']:.1f} in NumPy)",
        f"{resnet['ours']:.0f} ms on ResNet-18 ({resnet['numpy']:.0f})",
        f"{100 * overhead['set']:.1f} % longer with SET",
        f"{100 * overhead['rigl']:.1f} % with RigL",
    ):
        assert stated in " ".join(TEXT.split())


def test_certified_accuracies_are_the_stored_ones():
    path = os.path.join(ROOT, "experiments", "results", "certified_mnist", "report.json")
    with open(path) as file:
        (found,) = json.load(file)["robustness"]
    rows = {row["attack"]: 100 * row["accuracy"] for row in found["rows"]}
    for name, row in (
        ("clean", "clean"),
        ("`standard`, attacks with gradients only", "fab_t"),
        ("`standard`", "worst"),
        ("certified by intervals", "certified"),
    ):
        assert f"| {name} | {rows[row]:.2f} |" in TEXT
    least, most = rows["certified"], rows["worst"]
    assert f"known up to {most - least:.1f} points" in TEXT
    assert f"on MNIST {least:.1f} to {most:.1f} % at epsilon 0.3" in TEXT


def test_comparison_is_the_stored_one():
    stored = os.path.join(ROOT, "experiments", "results", "sweep_mnist", "report.md")
    with open(stored) as file:
        rows = [line for line in file.read().splitlines() if line.startswith("|")]
    assert len(rows) > 2 and "\n".join(rows) in TEXT


def test_recommended_method_is_the_most_robust_stored_one():
    stored = os.path.join(ROOT, "experiments", "results", "sweep_mnist", "report.md")
    with open(stored) as file:
        rows = re.findall(r"^\| (\w+) \| ([0-9.]+) \| ([0-9.]+) \| ([0-9.]+) \|", file.read(), re.M)
    under_pgd = {(method, density): float(pgd) for method, density, _, pgd in rows}
    clean = {(method, density): float(accuracy) for method, density, accuracy, _ in rows}
    for density in ("50.0", "20.0", "10.0", "5.0", "2.0"):
        found = {method: value for (method, at), value in under_pgd.items() if at == density}
        assert max(found, key=found.get) == "set", density
    for density in ("10.0", "5.0", "2.0"):
        assert clean["gradual", density] > clean["set", density]
    assert f"({under_pgd['set', '20.0']} % and {under_pgd['dense', '100.0']} %)" in TEXT


def test_speeds_of_attacks_are_the_measured_ones():
    with open(os.path.join(ROOT, "experiments", "results", "bench_attacks.json")) as file:
        measured = json.load(file)
    others = ("cleverhans", "foolbox_tensorflow", "foolbox_pytorch", "art", "torchattacks")
    parts = [part for part in measured if "ours_faster" in measured[part]]
    assert len(parts) == 5
    for part in parts:
        faster = measured[part]["ours_faster"]
        cells = [
            f"{faster[name]:.3g}" if name in faster else "" for name in (*others, "autoattack")
        ]
        assert f" | {' | '.join(cells)} |\n" in TEXT


def test_comparison_with_libraries_is_the_measured_one():
    page = PAGES["docs/comparison-with-libraries.md"]
    with open(os.path.join(ROOT, "experiments", "results", "bench_attacks.json")) as file:
        measured = json.load(file)
    libraries = {
        "ours": "robust_sparse_tf",
        "cleverhans": "CleverHans",
        "foolbox_tensorflow": "Foolbox (TensorFlow)",
        "foolbox_pytorch": "Foolbox (PyTorch)",
        "art": "ART",
        "torchattacks": "torchattacks",
    }
    rows = [
        f"| {libraries[name]} | {100 * accuracy:.1f} | {part['mean_l2'][name]:.2f} | "
        f"{part['images_per_second'][name]:.1f} |"
        for part in (measured[name] for name in ("pgd", "deepfool", "carlini_wagner"))
        for name, accuracy in part["accuracy"].items()
    ]
    assert (
        re.findall(r"\| [^|\n]+ \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \|$", page, re.MULTILINE) == rows
    )
    skipping, standard = measured["pgd_skip"], measured["standard"]
    assert f"ours {skipping['ours_faster']['cleverhans']:.2f} times as fast" in page
    assert (
        f"leaves {100 * standard['accuracy']['ours']:.1f} % of {standard['images']} images" in page
    )
    assert standard["accuracy"]["autoattack"] == standard["accuracy"]["ours"]
    assert f"is {standard['ours_faster']['autoattack']:.2f} times as fast" in " ".join(page.split())


def test_versions_of_other_libraries_are_the_pinned_ones():
    pinned = dict(
        line.split("==") for line in (ROOT / "tools" / "constraints.txt").read_text().split()
    )
    for title, name in (
        ("CleverHans", "cleverhans"),
        ("Foolbox", "foolbox"),
        ("Adversarial Robustness Toolbox (ART)", "adversarial-robustness-toolbox"),
        ("tensorflow-model-optimization (tfmot)", "tensorflow-model-optimization"),
    ):
        row = f"| {title} | {pinned[name]} |"
        assert row in PAGES["docs/comparison-with-libraries.md"]


def test_attacked_networks_are_the_stored_ones():
    stored = os.path.join(ROOT, "experiments", "results", "under_attack", "report.md")
    with open(stored) as file:
        report = file.read()
    tables = re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE)[1:]
    warnings = re.findall(r"^\*\*Warning.*\n", report, re.MULTILINE)
    assert len(tables) == 4 and warnings
    for part in [*tables, *warnings]:
        assert part in TEXT


def test_the_front_of_exports():
    """The README's table has the front of the stored results, and no other file."""
    stored = (ROOT / "experiments/results/export/lenet/pareto.md").read_text()
    front = [line for line in stored.splitlines() if "| yes |" in line]
    shown = [line for line in PAGES["README.md"].splitlines() if "| yes |" in line]
    assert shown == front and len(front) > 3


def test_exports_in_words():
    """What README and results say of exported files is what was measured."""
    folder = ROOT / "experiments/results/export/lenet"
    reports = {path.parent.name: record.read(str(path)) for path in folder.glob("*/export.json")}
    rows = {(name, row.format): row for name, report in reports.items() for row in report.rows}
    dense = rows["dense", "tflite_fp32"]
    smallest = rows["gradual_channels_10", "tflite_int4"]
    assert dense.bytes == reports["dense"].dense_bytes
    words = f"float32 file has {dense.bytes:,} bytes and {100 * dense.robust:.0f} %"
    assert words in PAGES["README.md"]
    assert smallest.bytes == min(row.bytes for row in rows.values())
    others = min(v for name, v in smallest.attacks.items() if not name.startswith("twin"))
    assert f"only {100 * smallest.robust:.0f} % is seen through" in PAGES["README.md"]
    assert f"leave {100 * others:.0f}." in PAGES["README.md"]
    text = PAGES["docs/results.md"]
    for name, words in (
        ("gradual_block_4x1_5", "at 5 % density {:.1f} times"),
        ("gradual_block_4x1_10", "at 10 % {:.1f} times"),
    ):
        faster = reports[name].faster(rows[name, "tflite_fp32_sparse"])
        assert words.format(faster) in text
    lost = {
        bits: max(
            round(100 * (reports[name].keras_robust - row.robust))
            for (name, form), row in rows.items()
            if form.endswith(bits)
        )
        for bits in ("int8", "int4")
    }
    assert lost["int8"] == 2 and "8 bits cost at most two points" in text
    assert f"4 bits cost up to {lost['int4']}," in text


def test_exports_of_the_convolutional_network():
    """The table in results is of the stored files."""
    folder = ROOT / "experiments/results/export/madry"
    reports = {path.parent.name: record.read(str(path)) for path in folder.glob("*/export.json")}
    rows = {(name, row.format): row for name, report in reports.items() for row in report.rows}
    text = PAGES["docs/results.md"]
    for name, form in (
        ("gradual_weights_10", "tflite_fp32_sparse"),
        ("gradual_block_4x1_10", "tflite_fp32_sparse"),
        ("gradual_channels_10", "tflite_full_int8"),
        ("gradual_block_4x1_10", "tflite_int4"),
    ):
        report, row = reports[name], rows[name, form]
        cells = [f"{report.dense_bytes / row.bytes:.1f}x", f"{report.faster(row):.1f}x"]
        cells += [f"{100 * row.robust:.2f}, {100 * report.keras_robust:.2f}"]
        assert f"| {' | '.join(cells)} |" in text, (name, form)
    gzipped = rows["gradual_block_4x1_10", "tflite_int4"].gzip_bytes
    dense = reports["dense"]
    assert f"the last file is {dense.dense_bytes / gzipped:.0f} times smaller" in text
    assert f"the dense network keeps {100 * dense.keras_robust:.0f} %" in text
    lost = max(reports[n].keras_robust - row.robust for (n, _), row in rows.items())
    assert f"lose up to {100 * lost:.0f} points" in text
