"""Malformed values of every flag, made from its own type and range, are refused in one line."""

import dataclasses

import pytest

from experiments.evaluations import attack_options, follow_up, measure_options
from experiments.runs import options as flags
from experiments.runs.procedure import BY_NAME, PRUNERS
from experiments.runs.training_run import TrainingRun
from experiments.sweeps.grid import cells
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import kind

TEXTS = ["", " ", "one", "1_0", "１", "1 0", "0,1", "1/0", "--1", "None", "nan", "1\n2"]
NUMBERS = [*TEXTS, "inf", "-inf", "1e999", "-1e999", "9" * 5000]
JSON = ["{", "null", "[1]", "1", "nan", '{"a": NaN}', '{"a": "b"}', '{"a": {}}', "[" * 100_000]
BAD = {
    bool: ["", "maybe", "2", "１", "truth"],
    int: [*NUMBERS, "8/255", "1.5", "1e3", "0x1g", "2147483648", "9" * 20],
    float: [*NUMBERS, "8//255", "/2", "1/", "1/ 2", "0x1p-2", "1e39"],
    dict: [*JSON, '{"a": 0}', '{"a": 1.5}'],
}
COMMANDS = {"evaluate": attack_options.parse, "measure": measure_options.parse}


def bad(field: dataclasses.Field) -> list[str]:
    """Texts that are no value of a flag."""
    rule, values = field.metadata, list(BAD.get(kind(field), ()))
    if rule["choices"]:
        first = str(rule["choices"][0])
        values += ["none of them", f"{first}x", first.upper(), f'"{first}', f"{first};{first}"]
    elif kind(field) in (int, float):
        step = 1 if kind(field) is int else 1e-6
        values += [] if rule["minimum"] is None else [str(rule["minimum"] - step)]
        values += [] if rule["maximum"] is None else [str(rule["maximum"] + step)]
        values += [] if rule["above"] is None else [str(rule["above"])]
    return values


def used_with(field: dataclasses.Field) -> list[str]:
    """The flag with which a run makes use of another one."""
    methods = [name for name, procedure in BY_NAME.items() if field.name in procedure.options]
    pruners = [
        name
        for name, pruner in PRUNERS.items()
        if field.name in {own.name for own in dataclasses.fields(pruner)}
    ]
    named = [f"--method={name}" for name in methods] + [f"--prune={name}" for name in pruners]
    if field.name == "stop_step":  # 0 is none, except for this one
        return ["--method=gradual"]
    return named[:1]


@pytest.mark.parametrize("field", [pytest.param(each, id=each.name) for each in flags.fields()])
def test_run(field):
    for value in bad(field):
        with pytest.raises(InputError) as caught:
            TrainingRun(flags.parse(["run", f"--{field.name}={value}", *used_with(field)]))
            pytest.fail(f"--{field.name}={value[:50]!r} is accepted")
        line = str(caught.value)
        assert len(line.splitlines()) == 1 and len(line) < 6000 and field.name in line


@pytest.mark.parametrize(
    ("command", "field"),
    [
        pytest.param(command, field, id=f"{command}-{field.name}")
        for command, options in [
            ("evaluate", attack_options.EvaluateOptions),
            ("measure", measure_options.MeasureOptions),
        ]
        for field in dataclasses.fields(options)
    ],
)
def test_evaluate_and_measure(command, field):
    values = bad(field)
    if field.name in ("epsilons", "at_rounds"):
        values += [text for text in NUMBERS if text not in ("", "0,1")] + ["-1"]
    for value in values:
        with pytest.raises(InputError) as caught:
            COMMANDS[command]([command, f"--{field.name}={value}"])
            pytest.fail(f"--{field.name}={value[:50]!r} is accepted")
        assert len(str(caught.value).splitlines()) == 1 and field.name.rstrip("s") in str(
            caught.value
        )


def test_there_are_many_cases():
    assert sum(len(bad(field)) for field in flags.fields()) > 1000


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--attack.epsilon=8"], "attack.epsilon=8: must be at most 1 in linf, as images"),
        (["--eval.epsilon=8"], "eval.epsilon=8: .* 8/255 is 0.03137"),
        (["--attack=none", "--attack.steps=0"], "attack.steps=0: must be at least 1"),
        (["--attack=fgsm", "--attack.step_size=nan"], "attack.step_size=nan: must be above 0"),
        (["--method=rigl", "--strategy=random"], "strategy=random: .* without method=lottery"),
        (["--method=rigl", "--prune_hidden=0.5"], "prune_hidden=0.5: has no effect without"),
        (["--prune_features=0.5"], "prune_features=0.5: has no effect without prune=features"),
        (["--prune=features", "--prune_until=0.5"], "prune_until=0.5: .* without prune=weights"),
        (["--strategy=random", "--rewind_step=1"], "rewind_step=1: .* without strategy=original"),
        (["--momentum=0.5"], "momentum=0.5: has no effect without optimizer=sgd"),
        (["--nesterov"], "nesterov=True: has no effect without optimizer=sgd"),
        (["--evaluate_epochs=1", "--evaluate_every=9"], "evaluate_every=9: .* leaving out eval"),
        (["--normalize=dataset"], "normalize=dataset: must be none with dataset=digits; means are"),
        (["--prune=features", "--dense_first"], "dense_first=True: .* without prune=weights"),
        (["--learning_rate_arguments={}1"], "learning_rate_arguments={}1: has no effect"),
        (["--attack=none", "--clean_weight=1"], "clean_weight=1.0: has no effect without an att"),
        (["--eval_attacks=fgsm", "--early_stopping=mixed"], "without pgd among eval_attacks"),
        (["--attack=none", "--epsilon_std=1"], "epsilon_std=1.0: has no effect without an attack"),
        (["--method=set", "--score_batches=2"], "score_batches=2: is no option of method=set"),
    ],
)
def test_flags_that_say_nothing_are_refused(words, line):
    with pytest.raises(InputError, match=line):
        TrainingRun(flags.parse(["run", *words]))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--attack=fgsm", "--attack.steps=7"], "attack.steps=7: has no effect with attack=fgsm"),
        (
            ["--eval_attacks=fgsm", "--eval.steps=7"],
            "eval.steps=7: has no effect with eval_attacks=fgsm",
        ),
        (["--method=rigl", "--rounds=3"], "rounds=3: has no effect with method=rigl"),
    ],
)
def test_what_cells_of_a_sweep_share_is_told(words, line):
    assert TrainingRun(flags.parse(["run", *words])).notes == [f"{line}, except on the run's name"]


def test_ends_may_stay_dense_with_any_method():
    for words in (["--method=rigl"], ["--method=lottery"], ["--method=lottery", "--dense_last"]):
        values = flags.parse(["run", *words, "--dense_first"])
        run = TrainingRun(values)
        assert flags.different(values)["dense_first"] is True
        assert run.method is None or run.method.dense_first
    assert "dense_first" not in flags.different(flags.parse(["run"]))


def test_cells_are_without_flags_that_say_nothing():
    found = cells({}, ["method=lottery,set,strategy=original,random"])
    assert [(values["method"], values["strategy"]) for values in found] == [
        ("lottery", "original"),
        ("lottery", "random"),
        ("set", "original"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("--epsilons=8", "epsilons=8: must be at most 1 in linf"),
        ("--attacks=quick --norm=l1", "norm=l1: must be linf or l2"),
        ("--attacks=", "attacks=: must be an ensemble"),
    ],
)
def test_what_every_cell_would_refuse(text, line):
    with pytest.raises(InputError, match=line):
        follow_up.evaluation(text)


def flagfile(folder, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return f"--flagfile={folder / name}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"# caf\xe9\n", "must be a text file in UTF-8"),
        (b"--rounds=1\0\n", "must be a text file in UTF-8"),
        (bytes(range(256)), "must be a text file in UTF-8"),
        (b"--flagfile={here}/a.flags\n", "includes itself"),
        (b"--flagfile={here}/./b.flags\n", "includes itself"),
        (b"--flagfile={here}\n", "must be a file"),
        (b"--flagfile=/dev/zero\n", "must be a file"),
        (b"--flagfile={here}/none.flags\n", "No such file"),
        (b"--flagfile\n", "flagfile"),
        (b"rounds=1\n", "flags start with --"),
    ],
)
def test_flagfiles(tmp_path, content, words):
    content = content.replace(b"{here}", str(tmp_path).encode())
    flagfile(tmp_path, "b.flags", content)
    with pytest.raises(InputError, match=words) as caught:
        flags.parse(["run", flagfile(tmp_path, "a.flags", content)])
    assert len(str(caught.value).splitlines()) == 1


def test_flagfiles_in_flagfiles(tmp_path):
    inner = flagfile(tmp_path, "inner.flags", b"--rounds=2\n")
    outer = flagfile(tmp_path, "outer.flags", f"# twice\n{inner}\n//\n{inner}\n".encode())
    assert flags.parse(["run", outer])["rounds"] == 2
    assert flags.parse(["run", *outer.split("=")])["rounds"] == 2


def test_words_that_are_no_text():
    with pytest.raises(InputError, match="must be UTF-8"):
        flags.parse(["run", "--output_dir=\udcff"])


def test_fractions():
    """As the field writes radii."""
    values = flags.parse(["run", "--attack.epsilon=8/255", "--eval.step_size=2/255"])
    assert (values["attack.epsilon"], values["eval.step_size"]) == (8 / 255, 2 / 255)
    options = attack_options.parse(["evaluate", "--epsilons=0.1,8/255"])
    assert attack_options.radii(options) == [0.1, 8 / 255]
