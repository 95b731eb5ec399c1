"""Attacks a trained model, and writes a report to a folder."""

import functools
import os
import sys

from etils import epy

from experiments.cli import command, flags
from experiments.cli.bar import Bar
from experiments.cli.locking import alone
from experiments.cli.quiet import load_tensorflow, quiet_loggers, quiet_stderr
from experiments.evaluations import attack_options, stored
from robust_sparse_tf import attacks, evaluation
from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    from experiments.evaluations import loading, run_log


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(
            flags.help_of_group(
                attack_options.EvaluateOptions, "python -m experiments.evaluate --model=PATH"
            )
        )
        return 0
    quiet_loggers()
    command.show_warnings()
    interrupted = "interrupted; the same command resumes with the remaining batches"
    return command.exit_code(lambda: _evaluate(argv), interrupted)


def _evaluate(argv: list[str]) -> int:
    options = attack_options.parse(argv)
    if not options.model:
        raise InputError("model: must be given, as in --model=runs/RUN")
    attack_options.refuse_gradients(options)
    made = attack_options.attacks_of(options)
    ball = attack_options.ball(options)
    places = attack_options.targets(options.model, options)
    print(f"attacking {', '.join(places)} with {', '.join(options.attacks)}", flush=True)
    load_tensorflow()
    load = functools.partial(loading.load, trust=options.trust, modules=options.modules)
    with_layers = functools.partial(
        loading.with_layers, trust=options.trust, modules=options.modules
    )
    for place in (*places, *options.source):
        loading.check(place)
    # Before they are loaded, as a run may replace them in the meantime.
    identities = [stored.identity(place, *options.source) for place in places]
    bounds = [loading.bounds_of(place, options.certify) for place in places]
    models = [
        load(place) if how == "none" else with_layers(place)
        for place, how in zip(places, bounds, strict=True)
    ]
    if options.noise:
        for model in models:
            loading.switch_noise(model, options.noise)
    sources = [load(source) for source in options.source]
    if sources and isinstance(made, dict):
        pgd = attack_options.attack("pgd", ball, attack_options.given(options))
        made["transfer"] = attacks.Transfer(attack=pgd, sources=tuple(sources))
    few = loading.images(options.model, options.dataset, options.data_dir, options.examples)
    # Of a file or another data set it is not known what the model was trained on.
    known = loading.flags_of(options.model) and not options.dataset
    trained_on = loading.training_images(options.model, None, options.data_dir) if known else None
    for model, place, identity, how in zip(models, places, identities, bounds, strict=True):
        where = attack_options.folder(place, options)
        os.makedirs(where, exist_ok=True)
        with alone(where), quiet_stderr(), Bar("images") as shown:
            report = evaluation.evaluate(
                model,
                few,
                made,
                attack_options.radii(options),
                ball=ball,
                seed=options.seed,
                batch_size=options.attack_batch_size,
                passes=options.passes,
                draws=options.eot_draws,
                sources=sources,
                training=trained_on,
                state=os.path.join(where, "state.npz"),
                identity=identity,
                check_masking=options.check_masking,
                certify=how,
                skip_certified=options.skip_certified and how != "none",
                on_batch=functools.partial(_show, shown),
            )
            evaluation.save(report, where)
            run_log.add_report(place, os.path.basename(where), report)
        print(report.to_markdown())
        print(where)
    return 0


def _show(shown: Bar, name: str, done: int, size: int) -> None:
    shown.show(name, done, size)
    command.raise_if_interrupted()


if __name__ == "__main__":
    command.leave(main(sys.argv))
