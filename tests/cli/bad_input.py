"""What tests of wrong input share."""

SHORT = ["--rounds=1", "--iterations=2", "--evaluate_every=1", "--branches=1"]
SHORT += ["--width=0.1", "--attack.steps=1", "--eval.steps=1"]


def assert_one_error(outcome: tuple[int, str, str], *words: str, code: int = 2) -> None:
    """The exit code, and one line on stderr that holds all words."""
    assert outcome[0] == code, outcome[2]
    line = outcome[2]
    assert line.startswith("error: ") and line.endswith("\n") and line.count("\n") == 1, line
    assert line.count("error: ") == 1 and "ERROR" not in line and "Traceback" not in line
    for word in words:
        assert word in line, line
