"""The engine of sweeps: what becomes of cells that end well, fail, are refused or lost."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from experiments.cli import command
from experiments.runs import options as flags
from experiments.runs.directory import RunDirectory
from experiments.sweeps import process, scheduler
from experiments.sweeps.scheduler import End, Event, Job, Outcome
from robust_sparse_tf.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 600  # seconds; a guard against what hangs


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def make(tmp_path) -> Callable[..., Job]:
    """Makes a cell of a Python program."""

    def cell(name: str, program: str) -> Job:
        command = (sys.executable, "-I", "-c", program)
        return Job(name, command, str(tmp_path / "logs" / f"{name}.log"))

    return cell


@pytest.fixture
def run(monkeypatch) -> Callable[..., tuple[dict[str, str], list[tuple[str, Event]]]]:
    """Runs cells on a machine of one core; gives those that failed, and what was told."""
    monkeypatch.setattr(scheduler, "cores", lambda: 1)

    def go(*cells: Job) -> tuple[dict[str, str], list[tuple[str, Event]]]:
        told: list[tuple[str, Event]] = []
        failed = scheduler.run(cells, lambda cell, event, _: told.append((cell.name, event)))
        return failed, told

    return go


def test_cells_are_run_in_order(run, make):
    """What they print is in their logs."""
    cell = make("a", "import sys; print('one', flush=True); print('two', file=sys.stderr)")
    failed, told = run(cell, make("b", "pass"))
    assert failed == {}
    assert told == [
        ("a", Event.STARTED),
        ("a", Event.DONE),
        ("b", Event.STARTED),
        ("b", Event.DONE),
    ]
    first, *said = Path(cell.log).read_text().splitlines()
    assert said == ["one", "two"]
    assert first.startswith("$ ") and "one" in first


def test_a_failed_command_is_run_again_once(run, make, tmp_path):
    """After the other cells."""
    program = f"import os; os.mkdir({str(tmp_path / 'x')!r}); print('why'); raise SystemExit(3)"
    failed, told = run(make("a", program), make("b", "pass"))
    assert list(failed) == ["a"] and "File exists" in failed["a"]  # the second time
    assert told[1:] == [
        ("a", Event.AGAIN),
        ("b", Event.STARTED),
        ("b", Event.DONE),
        ("a", Event.STARTED),
        ("a", Event.FAILED),
    ]


def test_a_command_that_ends_well_the_second_time(run, make, tmp_path):
    program = f"import os; p = {str(tmp_path / 'x')!r}; os.path.exists(p) or (os.mkdir(p), 1 / 0)"
    failed, told = run(make("a", program))
    assert failed == {}
    assert [event for _, event in told] == [
        Event.STARTED,
        Event.AGAIN,
        Event.STARTED,
        Event.DONE,
    ]


@pytest.mark.parametrize(
    ("program", "why", "times"),
    [
        ("print('error: bad flag'); raise SystemExit(2)", "bad flag", 1),
        ("print('some'); print(); raise SystemExit(1)", "some", 2),
        ("raise SystemExit(1)", "exit code 1", 2),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9", 2),
    ],
)
def test_why_a_cell_failed(run, make, program, why, times):
    """Bad flags are not tried again."""
    cell = make("a", program)
    assert run(cell)[0] == {"a": why}
    assert Path(cell.log).read_text().count("$ ") == times


def test_a_log_that_cannot_be_written(run, make, tmp_path):
    (tmp_path / "logs").write_text("not a folder")
    failed, _ = run(make("a", "pass"))
    assert failed["a"].startswith("cannot be run: ") and "logs" in failed["a"]


def test_a_busy_cell_is_waited_for(run, make, monkeypatch, tmp_path):
    """As long as another process runs it, with pauses."""
    most, pause = scheduler._AGAIN[End.BUSY]
    assert most * pause > 1e9
    monkeypatch.setitem(scheduler._AGAIN, End.BUSY, (most, 0.01))
    seen = tmp_path / "seen"
    busy = f"f = open({str(seen)!r}, 'a+'); f.write('x'); raise SystemExit(75 * (f.tell() < 9))"
    failed, told = run(make("a", busy), make("b", "pass"))
    assert failed == {} and ("a", Event.DONE) in told and ("b", Event.DONE) in told
    assert told.count(("a", Event.AGAIN)) == 8


def test_a_cell_that_hangs_is_ended(run, make, tmp_path):
    """And tried again, as one that fails is; the others continue."""
    hung = dataclasses.replace(make("a", "import time; time.sleep(3600)"), limit=1)
    failed, told = run(hung, dataclasses.replace(make("b", "pass"), limit=60))
    assert failed == {"a": "took longer than 1 s, and was stopped"}
    assert told.count(("a", Event.AGAIN)) == 1 and ("b", Event.DONE) in told


def test_a_run_that_another_process_runs_is_busy(tmp_path):
    """By the exit code of the run itself."""
    values = flags.parse(["run", f"--output_dir={tmp_path}"])
    owner = RunDirectory(values)
    code = command.exit_code(lambda: RunDirectory(values) and 0)
    assert scheduler._outcome(code, "any words").end is End.BUSY
    del owner


class Losing:
    """A place that loses the commands it is given, some times."""

    def __init__(self, times: int) -> None:
        self.left, self.begun = times, 0

    def slots(self) -> int:
        return 1

    def start(self, job) -> int:
        self.begun += 1
        return self.begun

    def wait(self, started, seconds) -> list:
        self.left -= 1
        end = End.LOST if self.left >= 0 else End.DONE
        return [(number, Outcome(end, "said")) for number in started]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("times", [1, 10, 11])
def test_lost_commands_are_no_failures(run, make, monkeypatch, times):
    """But they do not continue forever."""
    monkeypatch.setitem(scheduler._AGAIN, End.LOST, (10, 0.0))
    place = Losing(times)
    monkeypatch.setattr(scheduler, "_place", lambda size, address: place)
    failed, told = run(make("a", "pass"))
    assert failed == ({} if times <= 10 else {"a": "said"})
    assert place.begun == min(times + 1, 11)


TELL = "import os; print(sorted(os.sched_getaffinity(0)), {})"
THREADS = "[os.environ[n] for n in ('OMP_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS')]"


def test_commands_have_a_core_and_a_thread(run, make):
    cell = make("a", TELL.format(THREADS))
    assert run(cell)[0] == {}
    said = process.last_line(cell.log)
    assert said in [f"[{core}] ['1', '1']" for core in os.sched_getaffinity(0)]


def test_commands_share_cores_where_all_are_taken(run, make):
    cell = make("a", TELL.format("''"))
    claims = []
    try:
        for core in os.sched_getaffinity(0):
            claims.append(socket.socket(socket.AF_UNIX))
            claims[-1].bind(f"\0robust_sparse_tf-core-{core}")
    except OSError:
        pass  # a sweep on this machine has it
    try:
        assert run(cell)[0] == {}
    finally:
        for claim in claims:
            claim.close()
    assert process.last_line(cell.log) == f"{sorted(os.sched_getaffinity(0))} "[:-1]


STARTER = """
import os, sys
from experiments.sweeps import process
process.run([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); \
time.sleep(3600)"], sys.argv[1], os.environ, "/")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_commands_end_with_their_parent(tmp_path, number):
    log = tmp_path / "log"
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTER, log], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: log.exists() and process.last_line(str(log)).isdecimal())
        pid = int(process.last_line(str(log)))
        assert psutil.pid_exists(pid)
        parent.send_signal(number)
        parent.wait(_PATIENCE)
    finally:
        parent.kill()
    wait_for(lambda: not psutil.pid_exists(pid))


def test_ray_that_does_not_start(run, make, monkeypatch, capfd):
    """As on a machine that is busy: the cells are run one after the other, and the user is told."""

    def init(*_, **__):
        raise Exception("The current node timed out during startup.\nAnd more.")

    monkeypatch.setattr(scheduler, "cores", lambda: 2)
    monkeypatch.setattr("ray.init", init)
    failed, told = run(make("a", "pass"), make("b", "pass"))
    assert failed == {} and [name for name, _ in told] == ["a", "a", "b", "b"]
    out, err = capfd.readouterr()
    assert err == "" and out == (
        "Ray cannot be started here (The current node timed out during startup.): the cells run "
        "one after another\n"
    )


def test_without_ray(run, make, monkeypatch, capfd):
    """The cells are run one after the other, and the user is told."""
    monkeypatch.setattr(scheduler, "cores", lambda: 2)
    monkeypatch.setattr(scheduler.importlib.util, "find_spec", lambda name: None)
    failed, told = run(make("a", "pass"), make("b", "pass"))
    assert failed == {} and [name for name, _ in told] == ["a", "a", "b", "b"]
    out, err = capfd.readouterr()
    assert err == "" and out.count("\n") == 1
    assert "Ray is not installed" in out and "one after another" in out


@pytest.mark.parametrize("address", ["x", "localhost", ":6379", "localhost:", "localhost:70000"])
def test_addresses_that_are_none(make, address):
    with pytest.raises(InputError, match=f"^ray_address={address}: must be HOST:PORT"):
        scheduler.run([make("a", "pass")], lambda *_: None, address)


def test_an_address_where_nothing_listens(call_sweep, made_up):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = call_sweep("--grid=method=dense,set", f"--ray_address={address}")
    assert code == 2 and not made_up.commands
    assert err.startswith(f"error: ray_address={address}: cannot be reached (")
    assert err.count("\n") == 1


def test_an_address_without_ray(make, monkeypatch):
    monkeypatch.setattr(scheduler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^ray_address=localhost:1: needs Ray \(pip install"):
        scheduler.run([make("a", "pass")], lambda *_: None, "localhost:1")


# Ray


@pytest.mark.slow
def test_ray_runs_a_cell_a_core(make, tmp_path, capfd):
    """Two that wait for one another, each on its core; and nobody from elsewhere can connect."""
    if scheduler.cores() < 2:
        pytest.skip("needs two cores")
    meet = (
        "import os, pathlib, time; mine, other = map(pathlib.Path, {}); mine.touch()\n"
        "while not other.exists(): time.sleep(0.01)\n"
        "time.sleep(1); print(os.sched_getaffinity(0))"
    )
    names = [str(tmp_path / name) for name in "ab"]
    cells = [make("a", meet.format(names)), make("b", meet.format(names[::-1]))]
    heard: set[str] = set()

    def listen(cell: Job, event: Event, why: str) -> None:
        for child in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended since it was listed
                for connection in child.net_connections("inet"):
                    if connection.status == psutil.CONN_LISTEN:
                        heard.add(connection.laddr.ip)

    assert scheduler.run(cells, listen) == {}
    assert heard and heard <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert len({process.last_line(cell.log) for cell in cells}) == 2
    assert capfd.readouterr() == ("", "")
    assert not [p for p in psutil.Process().children() if "ray" in " ".join(p.cmdline())]


# Notes its parent, a worker of Ray, and waits until it is told to continue.
WAITING = """
import os, pathlib, time
place = pathlib.Path({!r})
with open(place / "started", "a") as file:
    print(os.getpid(), os.getppid(), file=file)
while not (place / "go").exists():
    time.sleep(0.01)
"""


@pytest.mark.slow
def test_a_lost_node_loses_no_cell(make, tmp_path):
    """What it had finished is not run again, and what it was running is, on another one."""
    from ray.cluster_utils import Cluster

    places = {name: tmp_path / name for name in "abc"}
    for place in places.values():
        place.mkdir()
    cells = [make(name, WAITING.format(str(place))) for name, place in places.items()]
    told: list[tuple[str, Event]] = []
    lost: list[str] = []

    def started(name: str) -> list[list[int]]:
        """(Process, parent) of each time that a cell was started."""
        file = places[name] / "started"
        lines = file.read_text().splitlines() if file.exists() else []
        return [[int(word) for word in line.split()] for line in lines]

    def lose() -> None:
        """Lets one cell end on the second node, and takes the node away in the next one."""
        raylet = second.all_processes["raylet"][0].process.pid
        wait_for(lambda: bool(started("a") and started("b")))
        parents = {name: psutil.Process(started(name)[0][1]).ppid() for name in "ab"}
        (there,) = [name for name, parent in parents.items() if parent == raylet]
        (places[there] / "go").touch()
        wait_for(lambda: bool(started("c")))
        lost.append("c")
        cluster.remove_node(second, allow_graceful=False)
        wait_for(lambda: not psutil.pid_exists(started("c")[0][0]))
        for place in places.values():
            (place / "go").touch()

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        thread = threading.Thread(target=lose)
        thread.start()
        failed = scheduler.run(
            cells, lambda cell, event, _: told.append((cell.name, event)), cluster.address
        )
        thread.join(_PATIENCE)
    finally:
        cluster.shutdown()
    assert failed == {} and lost == ["c"]
    assert {name: len(started(name)) for name in places} == {"a": 1, "b": 1, "c": 2}
    assert [name for name, event in told if event is Event.AGAIN] == ["c"]
    assert sorted(name for name, event in told if event is Event.DONE) == ["a", "b", "c"]
