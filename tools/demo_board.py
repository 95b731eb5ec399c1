"""Trains three short runs with attacks on scikit-learn's digits, and shows them in the browser.

python -m tools.demo_board [--folder=FOLDER] [--iterations=N] [--train_only]
"""

import argparse
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Sequence

FLAGFILES = "experiments/flagfiles/methods"
METHODS = ("dense", "rigl", "lottery")
ROUNDS = 4
EPSILONS = (0.05, 0.1, 0.15)


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", default="build/demo-board", help="of the runs")
    parser.add_argument("--iterations", type=int, default=800, help="training steps of a run")
    parser.add_argument("--train_only", action="store_true", help="open nothing")
    arguments = parser.parse_args(argv)
    train(arguments.folder, arguments.iterations)
    if not arguments.train_only:
        show(arguments.folder)


def train(folder: str, iterations: int) -> None:
    """Trains and attacks the runs; those that are there are not trained again.

    Args:
        folder: of the runs.
        iterations: training steps of a run; the lottery's four rounds take half as many each.
    """
    for method in METHODS:
        rounds = ROUNDS if method == "lottery" else 1
        steps = iterations // 2 if rounds > 1 else iterations
        flags = [f"--output_dir={folder}", f"--iterations={steps}"]
        flags += [f"--evaluate_every={max(1, steps // 20)}"]
        if method == "rigl":
            flags += [f"--update_interval={max(1, steps // 40)}", f"--stop_step={3 * steps // 4}"]
        if rounds > 1:
            flags += [f"--rounds={rounds}"]
        run = _run("experiments.run", f"--flagfile={FLAGFILES}/{method}.flags", *flags)
        radii = ",".join(map(str, EPSILONS))
        attack = [f"--model={run}", "--attacks=fgsm,pgd,square", f"--epsilons={radii}"]
        if rounds > 1:
            attack += [f"--at_rounds={','.join(map(str, range(rounds)))}"]
        _run("experiments.evaluate", *attack, "--examples=200")
        _run("experiments.measure", f"--model={run}", "--examples=100")


def show(folder: str) -> None:
    """Serves the runs, and opens the page, until it is interrupted."""
    from robust_sparse_tf.tensorboard import serving

    url = serving.start(folder, port=0)
    print(f"{folder} is shown at {url} (Ctrl+C ends it)", flush=True)
    webbrowser.open(url)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()


def _run(module: str, *flags: str) -> str:
    """The last line that a command prints."""
    command = [sys.executable, "-m", module, *flags]
    print(" ".join(["python", *command[1:]]), flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main(sys.argv[1:])
