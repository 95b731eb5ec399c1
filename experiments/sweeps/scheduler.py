"""Runs the jobs of a sweep: one per core by Ray, or one after another."""

import collections
import contextlib
import dataclasses
import enum
import functools
import importlib.util
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from experiments.cli import command
from experiments.cli.cores import cores
from experiments.cli.quiet import quiet_stderr
from experiments.sweeps import process
from robust_sparse_tf.errors import InputError

# For every command, even those without flags for it.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)
_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_NOT_STARTED = "Ray cannot be started here"
_OBJECT_STORE = 80 * 2**20  # bytes; Ray's minimum is 75 MiB, and nothing is stored


@dataclasses.dataclass(frozen=True)
class Job:
    """A command, the file for its output, and its time limit in seconds (0: none)."""

    name: str
    command: tuple[str, ...]
    log: str
    limit: int = 0


class Event(enum.Enum):
    """Events of a job."""

    STARTED = "started"
    DONE = "done"
    AGAIN = "again"  # will be retried later
    FAILED = "failed"


class End(enum.Enum):
    """How a command ended."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"  # its flags
    BUSY = "busy"  # another process is running the job
    LOST = "lost"  # its node was lost


# By exit code, see `cli.command`; any other code is a failure.
_ENDS = {command.REFUSED: End.REFUSED, command.BUSY: End.BUSY}

# How often a command is retried, and after how many seconds. A busy job belongs to another sweep,
# or to an orphan of a lost node, which exits soon. Losing a node is not the command's fault.
_AGAIN = {
    End.FAILED: (1, 0.0),
    End.REFUSED: (0, 0.0),
    End.BUSY: (sys.maxsize, 30.0),
    End.LOST: (10, 1.0),
}


class Outcome(NamedTuple):
    """How a command ended, and the last line of its output."""

    end: End
    said: str


Tell = Callable[[Job, Event, str], None]


def run(jobs: Sequence[Job], tell: Tell, address: str | None = None) -> dict[str, str]:
    """Runs jobs, one per core at a time.

    Args:
        jobs: the jobs, in order of priority.
        tell: called with a job, its event and, for a failure, the reason.
        address: "HOST:PORT" of a Ray cluster whose nodes see the same files; None for this machine.

    Returns:
        The last line of output of each failed job, by name.

    Raises:
        InputError: if the address cannot be reached.
    """
    if not jobs and not address:
        return {}
    with contextlib.closing(_place(len(jobs), address)) as place, _terminable():
        return _Schedule(jobs, place, tell).run()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Lets SIGTERM interrupt this process, so that its commands end as for an interrupt.

    Must be called after Ray has started, whose own handler prints the stack.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


class _Place(Protocol):
    """Runs commands somewhere."""

    def slots(self) -> int:
        """The number of commands that can run at a time."""

    def start(self, job: Job) -> Any:
        """Starts a job, and returns a handle for `wait`; see `process.run`."""

    def wait(self, started: list[Any], seconds: float) -> list[tuple[Any, Outcome]]:
        """The commands that have ended; returns after some seconds even if none has."""

    def close(self) -> None:
        """Stops all running commands."""


@dataclasses.dataclass
class _Pending:
    """A job in progress, with the failures of its command so far."""

    job: Job
    earliest: float = 0.0  # time of the next start, on the monotonic clock
    ends: collections.Counter[End] = dataclasses.field(default_factory=collections.Counter)


class _Schedule:
    """The order of jobs."""

    def __init__(self, jobs: Sequence[Job], place: _Place, tell: Tell) -> None:
        self._waiting = collections.deque(map(_Pending, jobs))
        self._running: dict[Any, _Pending] = {}
        self._place, self._tell = place, tell
        self._failed: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Runs all jobs; see the function of this name."""
        while self._waiting or self._running:
            self._start()
            if self._running:
                for started, outcome in self._place.wait(list(self._running), seconds=1.0):
                    self._end(self._running.pop(started), outcome)
            else:
                first = min(pending.earliest for pending in self._waiting)
                time.sleep(max(0.0, first - time.monotonic()))
        return self._failed

    def _start(self) -> None:
        """Starts jobs in order while there are free cores."""
        free = self._place.slots() - len(self._running)
        now = time.monotonic()
        ready = [pending for pending in self._waiting if pending.earliest <= now]
        for pending in ready[: max(0, free)]:
            self._waiting.remove(pending)
            self._tell(pending.job, Event.STARTED, "")
            self._running[self._place.start(pending.job)] = pending

    def _end(self, pending: _Pending, outcome: Outcome) -> None:
        """Finishes a job, schedules a retry, or gives it up."""
        if outcome.end is End.DONE:
            self._tell(pending.job, Event.DONE, "")
            return
        pending.ends[outcome.end] += 1
        most, pause = _AGAIN[outcome.end]
        if pending.ends[outcome.end] <= most:
            pending.earliest = time.monotonic() + pause
            self._waiting.append(pending)
            self._tell(pending.job, Event.AGAIN, outcome.said)
        else:
            self._failed[pending.job.name] = outcome.said
            self._tell(pending.job, Event.FAILED, outcome.said)


def _place(size: int, address: str | None) -> _Place:
    """Chooses where jobs run; prints why they run one after another, if they do."""
    there = importlib.util.find_spec("ray") is not None
    if address:
        if not there:
            raise InputError(f"ray_address={address}: needs Ray (pip install '.[sweep]')")
        return _Ray(address)
    if min(cores(), size) == 1:
        return _OneByOne()
    why = "Ray is not installed (pip install '.[sweep]')"
    if there:
        try:
            return _Ray()
        except InputError as error:
            why = str(error)
    print(f"{why}: the cells run one after another")
    return _OneByOne()


class _OneByOne:
    """Runs commands as child processes, one after another."""

    def __init__(self) -> None:
        self._run = functools.partial(process.run, environment=environment(), folder=os.getcwd())

    def slots(self) -> int:
        return 1

    def start(self, job: Job) -> Callable[[], tuple[int, str]]:
        return functools.partial(self._run, job.command, job.log, limit=job.limit)

    def wait(self, started: list[Any], seconds: float) -> list[tuple[Any, Outcome]]:
        return [(command, _outcome(*command())) for command in started]

    def close(self) -> None:
        pass


class _Ray:
    """Runs commands as Ray tasks, one per core.

    Args:
        address: "HOST:PORT" of a cluster; by default Ray is started on this machine, where no other
            user can reach it.
    """

    def __init__(self, address: str | None = None) -> None:
        self._environment, self._folder = environment(), os.getcwd()
        os.environ.update(_RAY)
        self._files = None
        if address:
            _check_reachable(address)
            os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # 40 s each, instead of 20
        else:
            # Without clusters, Ray's own address is 127.0.0.1; Ray reads this when imported.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            # Not in TMPDIR, because socket names must be short.
            self._files = tempfile.TemporaryDirectory(
                prefix="sweep-", dir="/tmp", ignore_cleanup_errors=True
            )
        import ray

        self._ray = ray
        with quiet_stderr():
            failure = self._connect(address)
        if failure:
            self.close()
            refused = f"ray_address={address}: no cluster to work on" if address else _NOT_STARTED
            raise InputError(f"{refused} ({failure})")
        self._task: Any = ray.remote(num_cpus=1, max_retries=0)(process.run)

    def _connect(self, address: str | None) -> str:
        """Connects to a cluster, or starts Ray here; returns the reason if it fails."""
        here: dict[str, Any] = dict(
            num_cpus=cores(),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE,
            _temp_dir=self._files and self._files.name,
        )
        try:
            self._ray.init(
                address or "local",  # ignores RAY_ADDRESS
                logging_level=logging.ERROR,
                log_to_driver=False,
                **({} if address else here),
            )
        except Exception as error:  # many exceptions, including Exception itself
            return str(error).strip().split("\n")[0] or type(error).__name__
        return ""

    def slots(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 0)))

    def start(self, job: Job) -> Any:
        log = os.path.abspath(job.log)
        return self._task.remote(job.command, log, self._environment, self._folder, job.limit)

    def wait(self, started: list[Any], seconds: float) -> list[tuple[Any, Outcome]]:
        ended, _ = self._ray.wait(started, timeout=seconds)
        return [(task, self._outcome(task)) for task in ended]

    def _outcome(self, task: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            return _outcome(*self._ray.get(task))
        except (errors.RayTaskError, errors.OutOfMemoryError) as error:
            return Outcome(End.FAILED, str(error).strip().splitlines()[-1])
        except errors.RayError as error:
            return Outcome(End.LOST, f"its node is lost ({type(error).__name__})")

    def close(self) -> None:
        self._ray.shutdown()
        if self._files:
            self._files.cleanup()


def _outcome(code: int, said: str) -> Outcome:
    """How a command ended, from its exit code and last line."""
    said = said.removeprefix("error: ") or f"exit code {code}"
    if code == 0:
        return Outcome(End.DONE, said)
    return Outcome(_ENDS.get(code, End.FAILED), said)


def environment() -> dict[str, str]:
    """The environment variables of this process, plus those that limit commands to one thread."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return own | _ONE_THREAD


def _check_reachable(address: str) -> None:
    """Checks an address, because Ray itself would try for a minute.

    Raises:
        InputError: if nothing listens there, or it is not an address.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"ray_address={address}: must be HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(f"ray_address={address}: cannot be reached ({error})") from error
