"""Logs that are damaged, of other versions, or still written: what can be read is shown."""

import numpy as np
import pytest
from boards import serving
from handmade_logs import MEASURES, REPORT, RUN, HandmadeLog, accuracy, write_run
from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2

ROUTES = ("topology", "masks", "accuracy", "reports", "examples")
MASK = {"shape": [4, 6], "kernel": [2, 2, 6], "block": [1, 1]}
DEEP = b"[" * 900 + b"]" * 900


def event_file(folder):
    """The only event file of a run."""
    [path] = folder.glob("*tfevents*")
    return path


def notes_of(board, run="bad"):
    """What is said of a run that cannot be read whole, by all that tells of it."""
    [told] = [each for each in board.json("runs")["runs"] if each["run"] == run]
    return told["notes"]


def answers(board, run="bad"):
    """Whether each address that tells of a run answers with data; else it says why not."""
    found = {}
    for path in ROUTES:
        answer = board.get(path, run=run)
        assert answer.status_code in (200, 404)
        assert answer.status_code == 200 or answer.json["error"]
        found[path] = answer.status_code == 200
    for kind in ("runs", "accuracy"):
        assert board.get("csv", kind=kind).status_code == 200
    assert board.get("csv", kind="topology", measure="density").status_code in (200, 404)
    return found


@pytest.mark.parametrize("cut", [1, 100, 3000])
def test_a_file_without_its_end(mode, tmp_path, cut):
    write_run(tmp_path / "good")
    write_run(tmp_path / "bad", steps=range(20))
    path = event_file(tmp_path / "bad")
    path.write_bytes(path.read_bytes()[:-cut])
    with serving(tmp_path, mode, runs=2) as board:
        assert answers(board)["topology"]
        assert len(board.json("topology", run="bad")["steps"]) >= 10
        assert not notes_of(board, "good")


def test_a_file_that_ends_in_garbage(mode, tmp_path):
    write_run(tmp_path / "bad")
    with event_file(tmp_path / "bad").open("ab") as file:
        file.write(bytes(range(256)) * 8)
    with serving(tmp_path, mode) as board:
        assert all(answers(board).values())


def test_a_file_with_other_bytes_in_its_middle(mode, tmp_path):
    write_run(tmp_path / "bad", steps=range(20))
    write_run(tmp_path / "good")
    path = event_file(tmp_path / "bad")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 16] = b"\xff" * 16
    path.write_bytes(data)
    with serving(tmp_path, mode, runs=2) as board:
        assert answers(board)["topology"]
        assert len(board.json("topology", run="good")["steps"]) == 3


def test_a_file_of_garbage_beside_a_good_run(mode, tmp_path):
    write_run(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "events.out.tfevents.1.x").write_bytes(b"\0garbage" * 100)
    with serving(tmp_path, mode) as board:
        assert all(answers(board, "good").values())
        assert board.json("runs")["total"] == 1


def test_a_log_that_is_being_written(mode, tmp_path):
    log = HandmadeLog(tmp_path / "bad")
    log.run()
    log.accuracy(1)
    log.flush()
    with serving(tmp_path, mode) as board:
        assert answers(board) == dict.fromkeys(ROUTES, True) | {"topology": False}
    log.close()


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.5])
def test_other_versions_of_the_format(mode, tmp_path, version):
    log = HandmadeLog(tmp_path / "bad")
    log.json("run", RUN, version=version)
    log.accuracy(3)
    log.close()
    with serving(tmp_path, mode) as board:
        [note] = notes_of(board)
        assert note.startswith("run: 1 of 1 points cannot be read, the first at step 0: ")
        assert "version" in note
        assert len(board.json("accuracy", run="bad")["runs"]["bad"]["records"]) == 1


def test_a_topology_of_another_version_says_so(mode, tmp_path):
    log = HandmadeLog(tmp_path / "bad")
    log.tensor("topology", np.ones((3, 10)), 0, {"layers": [], "rows": []}, version=2)
    log.close()
    with serving(tmp_path, mode) as board:
        assert "version 2 of the log's format" in board.refused(404, "topology", run="bad")


BAD_JSON = {
    "no JSON": b"{",
    "no text": b"\xff\xfe",
    "a list": b"[1]",
    "nothing": b"",
    "deep": DEEP,
    "too deep": b"[" * 10**5,
    "another type": b'{"name": 1}',
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_is_none(mode_fast, tmp_path, text):
    log = HandmadeLog(tmp_path / "bad")
    log.topology(5, np.ones((3, len(MEASURES))))
    tags = ["accuracy", "export", "measures/x", "report/x", "run"]
    for tag in tags:
        log.tensor(tag, text, 5)
    log.close()
    with serving(tmp_path, mode_fast) as board:
        notes = sorted(notes_of(board))
        assert [note.partition(": ")[0] for note in notes] == tags
        assert all("1 of 1 points cannot be read" in note for note in notes)
        assert answers(board)["topology"]


def test_one_bad_record_among_good_ones(mode, tmp_path):
    log = HandmadeLog(tmp_path / "bad")
    log.accuracy(1)
    log.json("accuracy", accuracy(2) | {"splits": {"test": {"examples": "many"}}}, 2)
    log.accuracy(3)
    log.close()
    with serving(tmp_path, mode) as board:
        found = board.json("accuracy", run="bad")["runs"]["bad"]
        assert [record["tb_step"] for record in found["records"]] == [1, 3]
        [note] = found["notes"]
        assert "the first at step 2: splits.test.examples is 'many', not a whole number" in note


TENSORS = {
    "another shape": np.ones((2, 2)),
    "strings": np.array([b"x"]),
    "a number": np.float64(3),
    "nothing": np.zeros((0, 0)),
    "truths": np.array([True]),
    "complex": np.array([1j]),
}


@pytest.mark.parametrize("value", TENSORS.values(), ids=TENSORS)
def test_tensors_of_another_kind(mode, tmp_path, value):
    log = HandmadeLog(tmp_path / "bad")
    log.run()
    for tag in ("masks/conv", "examples/pgd/0.3", "accuracy", "inputs/dense", "report/x"):
        log.tensor(tag, value, 0, MASK)
    log.topology(0, value)
    log.close()
    with serving(tmp_path, mode) as board:
        assert {note.partition(":")[0] for note in notes_of(board)} == {
            *("topology", "accuracy", "report/x")
        }
        assert not answers(board)["topology"]
        assert board.json("masks", run="bad")["layers"] == []
        [note] = board.json("examples", run="bad")["notes"]
        assert note.startswith("examples/pgd/0.3: 1 of 1 points cannot be read")
        refused = board.get("mask", run="bad", layer="conv", step=0)
        assert refused.status_code == 404


def test_a_tensor_that_tensorboard_cannot_read(mode, tmp_path):
    write_run(tmp_path / "good")
    log = HandmadeLog(tmp_path / "bad")
    log.run()
    metadata = summary_pb2.SummaryMetadata(data_class=summary_pb2.DATA_CLASS_TENSOR)
    metadata.plugin_data.plugin_name = "sparsity_robustness"
    metadata.plugin_data.content = b'{"version": 1}'
    broken = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_content=b"123")
    broken.tensor_shape.dim.add(size=7)
    log.proto("accuracy", broken, 0, metadata)
    log.close()
    with serving(tmp_path, mode, runs=2) as board:
        assert notes_of(board) == ["accuracy: cannot be read"]
        [bad, good] = board.json("runs")["runs"]
        assert (bad["method"], good["clean"], good["notes"]) == ("rigl", 0.9, [])
        assert board.json("accuracy", run=["bad", "good"])["runs"]["bad"]["records"] == []


def test_a_mask_that_is_no_image(mode, tmp_path):
    log = HandmadeLog(tmp_path / "bad")
    log.mask("conv", 0, b"<script>alert(1)</script>")
    log.mask("conv", 1)
    log.close()
    with serving(tmp_path, mode) as board:
        told = board.json("masks", run="bad")
        assert told["layers"][0]["steps"] == [1]
        assert "no PNG" in told["notes"][0]
        assert board.get("mask", run="bad", layer="conv", step=0).status_code == 404


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"null", b'{"version": 1, "layers": 3}'])
def test_plugin_data_that_are_none(mode_fast, tmp_path, content):
    log = HandmadeLog(tmp_path / "bad")
    log.tensor("topology", np.ones((3, 10)), 0, content)
    log.tensor("masks/conv", b"", 0, content)
    log.close()
    with serving(tmp_path, mode_fast) as board:
        assert "topology: 1 of 1 points cannot be read" in notes_of(board)[0]
        assert not answers(board)["topology"]


def test_tags_that_are_not_known_are_left_alone(mode, tmp_path):
    log = HandmadeLog(tmp_path / "bad")
    log.json("run", RUN)
    log.json("run/x", RUN)
    log.json("later", REPORT)
    log.json("", REPORT)
    log.close()
    with serving(tmp_path, mode) as board:
        assert notes_of(board) == []
        assert answers(board)["masks"]
