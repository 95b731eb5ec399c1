"""What stands in for the cells of a sweep."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.evaluations import attack_options, measure_options, stored
from experiments.runs import options as flags
from experiments.runs.directory import run_name
from experiments.sweeps import chaining

SHARED = ["--iterations=10", "--evaluate_every=5", "--attack=none", "--eval_attacks="]


class Cells:
    """Stands in for the cells' processes: notes each command, and leaves results."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.failing: set[str] = set()
        self.checked: list[list[str]] = []
        self.refused = ""  # what a check says
        self.evaluated: list[list[str]] = []
        self.measured: list[list[str]] = []
        self.standing: set[str] = set()  # methods whose evaluation fails
        self.on_run: Callable[[str], None] = lambda name: None

    def __call__(self, command: Sequence[str], log: str, **_: Any) -> tuple[int, str]:
        """Takes the place of `experiments.process.run`."""
        assert list(command[:3]) == [sys.executable, "-m", "experiments.chain"]
        kinds = {
            "check": self._check,
            "run": self._run,
            "evaluate": self._evaluate,
            "measure": self._measure,
        }
        for words in chaining.split(command[3:]):
            code, said = kinds[words[0]](words)
            if code:
                break
        return code, said

    def _check(self, command: list[str]) -> tuple[int, str]:
        """Refuses nothing but what it was told."""
        self.checked.append(command)
        return (2, f"error: {self.refused}") if self.refused else (0, "")

    def _run(self, command: list[str]) -> tuple[int, str]:
        """Leaves the results of a run."""
        values = flags.parse(command)
        self.commands.append(command)
        name = run_name(values)
        self.on_run(name)
        failed = values["method"] in self.failing
        if not failed:
            folder = Path(values["output_dir"], name)
            for number in range(3):
                (folder / "rounds" / str(number)).mkdir(parents=True, exist_ok=True)
            test = {"clean_accuracy": 0.5, "robust_accuracy": {}}
            rounds = [{"density": values["density"] or 1.0, "test": test}]
            content = {
                "name": name,
                "flags": flags.different(values),
                "rounds": rounds,
                "seconds": 1.0,
            }
            (folder / "config.json").write_text('{"git_revision": "some"}')
            (folder / "results.json").write_text(json.dumps(content))
        return int(failed), "error: it failed" if failed else "done"

    def _evaluate(self, command: list[str]) -> tuple[int, str]:
        """Leaves a report in which nothing stands."""
        options = attack_options.parse(command)
        self.evaluated.append(command)
        given = json.loads(Path(options.model, "results.json").read_text())["flags"]
        method = given.get("method", "lottery")
        if method not in self.standing:
            folder = Path(attack_options.folder(options.model, options))
            folder.mkdir(parents=True)
            row = dict(attack="fgsm", norm="linf", epsilon=0.1, accuracy=0, distance=1, seconds=2)
            content = {"rows": [row], "warnings": ["masked"]}
            (folder / "report.json").write_text(json.dumps(content))
        return int(method in self.standing), "some line"

    def _measure(self, command: list[str]) -> tuple[int, str]:
        """Leaves the measures of each round, of which the network alone is there."""
        options = measure_options.parse(command)
        self.measured.append(command)
        for path in map(Path, measure_options.paths(options.model, options)):
            found = stored.Measures(
                options={},
                images=1,
                numbers={"accuracy": 0.5},
                usefulness=None,
                missing={},
                warnings=["few"],
                seconds=1.0,
            )
            stored.write_measures(str(path), found)
        return 0, "some line"

    @property
    def methods(self) -> list[str]:
        return [flags.parse(command)["method"] for command in self.commands]


GRID = "--grid=method=dense,static,set,density=0.5"
