import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import pareto as command
from experiments.reports import pareto
from experiments.reports.pareto import Point
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.record import ExportReport, ExportRow, read

ROW = ExportRow(
    format="tflite_fp32",
    file="tflite_fp32.tflite",
    compacted=False,
    bytes=1000,
    gzip_bytes=900,
    entropy_bytes=800,
    images=1000,
    agreement=1.0,
    difference=1e-6,
    median=0.02,
    p95=0.03,
    memory=5000,
    clean=0.98,
    robust=0.9,
    attacks={"transfer": 0.95, "square": 0.92, "twin": 0.9},
    twin="1000 of 1000 images",
)
REPORT = ExportReport(
    model="net",
    density=0.1,
    norm="linf",
    epsilon=0.1,
    examples=200,
    keras_clean=0.98,
    keras_robust=0.9,
    dense_bytes=4000,
    dense_median=0.06,
    rows=(ROW,),
    refused={"tflite_int4_sparse": "has no kernel"},
    notes=("compacted from 10 to 5 weights",),
)


def store(folder, report=REPORT):
    folder.mkdir(parents=True)
    (folder / "export.json").write_text(json.dumps(report.to_json()))


def variant(robust, size, milliseconds, name="tflite_fp32"):
    return dataclasses.replace(ROW, robust=robust, bytes=size, median=milliseconds, format=name)


def test_record_reads_what_it_writes(tmp_path):
    store(tmp_path / "export")
    assert read(tmp_path / "export" / "export.json") == REPORT


def test_record_as_table():
    text = REPORT.to_markdown()
    assert "| tflite_fp32 | 1,000 | 900 | 800 | 4.0x | 0.0200 | 0.0300 | 3.0x | 5,000 |" in text
    assert "transfer 95.00, square 92.00, twin 90.00" in text
    assert "- tflite_int4_sparse: has no kernel" in text


POINTS = st.lists(
    st.builds(
        Point,
        model=st.just("net"),
        format=st.sampled_from(["a", "b"]),
        robust=st.sampled_from([0.1, 0.5, 0.9]),
        clean=st.just(1.0),
        bytes=st.integers(1, 3),
        milliseconds=st.sampled_from([1.0, 2.0, 3.0]),
    ),
    min_size=1,
)


@given(POINTS)
def test_front(points):
    best = pareto.front(points)
    assert best, "the most robust of the smallest is never beaten"
    for point in points:
        beaten = any(
            other.robust >= point.robust
            and other.bytes <= point.bytes
            and other.milliseconds <= point.milliseconds
            and (other.robust, other.bytes, other.milliseconds)
            != (point.robust, point.bytes, point.milliseconds)
            for other in points
        )
        assert (point in best) != beaten
    assert [point.robust for point in best] == sorted((p.robust for p in best), reverse=True)


def test_command(tmp_path, capfd):
    store(tmp_path / "one" / "export")
    rows = (variant(0.8, 500, 0.05, "tflite_int8"), variant(0.7, 600, 0.06, "tflite_fp16"))
    store(tmp_path / "two" / "export", dataclasses.replace(REPORT, model="other", rows=rows))
    assert command.main(["pareto", str(tmp_path)]) == 0
    assert "| other | tflite_int8 | yes | 80.00 |" in capfd.readouterr().out
    written = json.loads((tmp_path / "pareto.json").read_text())
    assert [point["front"] for point in written["points"]] == [True, True, False]
    assert "| other | tflite_fp16 |  | 70.00 |" in (tmp_path / "pareto.md").read_text()
    assert (tmp_path / "pareto.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "reports"),
    [
        ("must be a folder with exports", None),
        ("holds no export with latency and robust accuracy", []),
        (
            "holds no export with latency and robust accuracy",
            [dataclasses.replace(REPORT, rows=(dataclasses.replace(ROW, robust=None),))],
        ),
        (
            "exports under different attacks cannot be compared",
            [REPORT, dataclasses.replace(REPORT, epsilon=0.2)],
        ),
    ],
)
def test_refusals(tmp_path, words, reports):
    folder = tmp_path / "exports"
    if reports is not None:
        folder.mkdir()
    for number, report in enumerate(reports or []):
        store(folder / str(number), report)
    with pytest.raises(InputError, match=words):
        pareto.write(str(folder))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 1}'])
def test_damaged_record(tmp_path, content):
    path = tmp_path / "export.json"
    path.write_text(content)
    with pytest.raises(InputError, match="holds no results of experiments.export"):
        read(path)


@pytest.mark.parametrize("argv", [[], ["--flag"], ["one", "two"]])
def test_usage(argv, capfd):
    assert command.main(["pareto", *argv]) == 2
    assert "usage: python -m experiments.pareto DIRECTORY" in capfd.readouterr().err
