import errno
import os

import pytest
import tensorflow as tf

from robust_sparse_tf import files


def test_complete_file_appears_whole(tmp_path):
    path = tmp_path / "file"
    with files.complete(str(path)) as file:
        file.write(b"some")
        assert not path.exists()
    assert path.read_bytes() == b"some"
    assert os.listdir(tmp_path) == ["file"]


def test_failure_keeps_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), files.complete(str(path)) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    "error, number, reason",
    [
        (OSError(errno.ENOSPC, "No space left on device"), errno.ENOSPC, "No space left on device"),
        (OSError("archive too large"), errno.EIO, "archive too large"),
        (
            tf.errors.OutOfRangeError(
                None, None, "{{node a}} /x/events; File too large\n\tCould not flush [Op:Write]"
            ),
            errno.EIO,
            "File too large",
        ),
        (
            tf.errors.ResourceExhaustedError(None, None, "/x/v; No space left [Op:SaveV2]"),
            errno.EIO,
            "No space left",
        ),
    ],
)
def test_errors_of_writing_name_the_file(error, number, reason):
    with pytest.raises(OSError) as raised, files.naming("folder/file"):
        raise error
    assert (raised.value.errno, raised.value.strerror) == (number, reason)
    assert raised.value.filename == "folder/file"


def test_other_errors_stay_as_they_are():
    with pytest.raises(tf.errors.InvalidArgumentError), files.naming("file"):
        raise tf.errors.InvalidArgumentError(None, None, "a bug")


def test_digests_tell_contents_apart(tmp_path):
    """Of a file whatever it is called, of a folder with the names of what is in it."""
    (tmp_path / "a").write_bytes(b"some")
    (tmp_path / "b").write_bytes(b"some")
    assert files.digest(str(tmp_path / "a")) == files.digest(str(tmp_path / "b"))
    folder = tmp_path / "folder" / "inner"
    folder.mkdir(parents=True)
    seen = set()
    for name, content in [("c", b"1"), ("c", b"2"), ("d", b"2")]:
        (folder / name).write_bytes(content)
        seen |= {files.digest(str(tmp_path / "folder")) for _ in range(2)}
    assert len(seen) == 3
    with pytest.raises(OSError):
        files.digest(str(tmp_path / "none"))
