"""The processes that train together; the only module that knows Horovod."""

import logging
import os
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from recsys.errors import RecsysError, WorkerFailedError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_POLL_EVERY_S = 5e-5


class Workers(Protocol):
    """What the loop may ask of its fellow workers; every worker must make the same calls in the same order."""

    index: int
    local_index: int
    count: int

    @property
    def is_leader(self) -> bool: ...

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:
        """Replaces each tensor by its sum over all workers; returns each of the `gathered`, all workers' one after the
        other, the leader's first."""

    def start_alike(self, model: nn.Module) -> None:
        """Gives every worker the leader's parameters and buffers."""

    def let_others_join(self) -> None:
        """Called where a checkpoint has just been written: in elastic training, all begin again there with workers
        that came meanwhile."""


class OneWorker:
    """Training in this process alone."""

    index = local_index = 0
    count = 1
    is_leader = True

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:  # noqa: ARG002  # a sum over one
        return list(gathered)

    def start_alike(self, model: nn.Module) -> None:
        """There is no other."""

    def let_others_join(self) -> None:
        """Nobody would start one."""


class HorovodWorkers:
    """The processes that `run_on_spark` started."""

    def __init__(self, step_timeout_s: int = 300) -> None:
        import horovod.torch as hvd

        # Later than the watchdog, which knows who hangs; Horovod would only say that somebody does.
        os.environ["HOROVOD_GLOO_TIMEOUT_SECONDS"] = str(4 * step_timeout_s + 60)

        hvd.init()  # without effect where elastic training has done so
        self._hvd = hvd
        self.index: int = hvd.rank()
        self.local_index: int = hvd.local_rank()
        self.count: int = hvd.size()

    @property
    def is_leader(self) -> bool:
        return self.index == 0

    def add_up(self, tensors: Sequence[Tensor], gathered: Sequence[Tensor] = ()) -> list[Tensor]:
        # All at once, so that Horovod sends them in one cycle.
        sums = [
            self._hvd.allreduce_async_(tensor, op=self._hvd.Sum, name=f"sum.{number}")
            for number, tensor in enumerate(tensors)
        ]
        of_all = [
            self._hvd.allgather_async(tensor, name=f"gathered.{number}") for number, tensor in enumerate(gathered)
        ]
        for handle in sums:
            self._awaited(handle)
        return [self._awaited(handle) for handle in of_all]

    def _awaited(self, handle: int) -> Tensor:
        # Horovod's own wait keeps the interpreter: neither the reading thread nor the watchdog would go on.
        while not self._hvd.poll(handle):
            time.sleep(_POLL_EVERY_S)
        result: Tensor = self._hvd.synchronize(handle)
        return result

    def start_alike(self, model: nn.Module) -> None:
        # Horovod takes no booleans; only floating-point tensors can have come to differ.
        state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
        self._hvd.broadcast_parameters(state, root_rank=0)

    def let_others_join(self) -> None:
        for state in _elastic_state:
            state.check_host_updates()


# Of this process, where it trains elastically: whom Horovod tells that workers came or went.
_elastic_state: list[Any] = []


@dataclass(frozen=True, kw_only=True)
class Elastic:
    """Where a worker dies, the others go on from the last checkpoint, `min_workers` at least, up to `max_resets` times.
    Spark starts the dead one's task again, and that worker joins at a checkpoint."""

    min_workers: int
    max_resets: int


def run_on_spark(
    work: Callable[..., Result],
    arguments: Sequence[Any],
    *,
    workers: int,
    start_timeout_s: int,
    elastic: Elastic | None = None,
) -> list[Result]:
    """Calls `work(*arguments)` in so many processes, one a Spark task of the running session; results by worker.

    What a worker logs goes to this process's standard error. An own error that all workers raise comes back as it
    is; raises WorkerFailedError where a worker died, or hangs by its watchdog's word.
    """
    import horovod.spark

    run = partial(horovod.spark.run, _caught, use_gloo=True)
    if elastic is not None:
        run = partial(
            horovod.spark.run_elastic, _caught_elastically, elastic_timeout=start_timeout_s,
            min_num_proc=elastic.min_workers, max_num_proc=workers, reset_limit=elastic.max_resets,
        )  # fmt: skip
    try:
        with _stopping() as stop, _own_signal_handlers(), _quiet_spark_thread():
            last_lines = _LastLines(on_hang=stop)
            results: list[Result | RecsysError] = run(
                args=(work, tuple(arguments)), num_proc=workers, start_timeout=start_timeout_s,
                stdout=last_lines, stderr=last_lines, verbose=0,
            )  # fmt: skip
    except Exception as error:
        raise WorkerFailedError(_explanation(str(error), last_lines, workers)) from error
    return [_result_or_raise(result) for result in results]


def _result_or_raise(result: Result | RecsysError) -> Result:
    if isinstance(result, RecsysError):
        raise result
    return result


def _caught(work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result | RecsysError:
    try:
        return work(*arguments)
    except RecsysError as error:
        return error


def _caught_elastically(work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result | RecsysError:
    """Calls `work` again whenever workers went or came: what it had done since the last checkpoint is done again."""
    import horovod.torch as hvd

    hvd.init()
    state = hvd.elastic.TorchState()
    _elastic_state[:] = [state]
    attempts: Callable[[Any], Result | RecsysError] = hvd.elastic.run(lambda _: _caught(work, arguments))
    return attempts(state)


@contextmanager
def _stopping() -> Iterator[Callable[[], None]]:
    """What ends all workers when called. Horovod on Spark else waits for those that a dead or hanging one left."""
    from horovod.runner import gloo_run

    register, events = gloo_run.register_shutdown_event, list[threading.Event]()

    def registered() -> threading.Event:
        events.append(register())
        return events[-1]

    def stop() -> None:
        for event in events:
            event.set()

    gloo_run.register_shutdown_event = registered
    try:
        yield stop
    finally:
        gloo_run.register_shutdown_event = register


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Horovod would put its own in their place: nobody in a Spark job looks at what they set, and they stay."""
    set_handler = signal.signal

    def set_another(number: int, handler: Any) -> Any:
        is_ours = number in (signal.SIGINT, signal.SIGTERM)
        return signal.getsignal(number) if is_ours else set_handler(number, handler)

    signal.signal = set_another  # type: ignore[assignment]  # for as long as Horovod runs
    try:
        yield
    finally:
        signal.signal = set_handler


@contextmanager
def _quiet_spark_thread() -> Iterator[None]:
    """The thread in which Horovod waits for its Spark tasks repeats the failure that `run` raises anyway."""
    before = threading.excepthook

    def all_but_that_thread(raised: threading.ExceptHookArgs) -> None:
        if raised.thread is None or "run_spark" not in raised.thread.name:
            before(raised)

    threading.excepthook = all_but_that_thread
    try:
        yield
    finally:
        threading.excepthook = before


class _LastLines:
    """Passes the workers' output on to standard error and remembers its end, and who hangs, for the error message."""

    def __init__(self, on_hang: Callable[[], None], count: int = 12) -> None:
        self._lines: deque[str] = deque(maxlen=count)
        self._on_hang = on_hang
        self.hang: str | None = None

    def write(self, text: str) -> int:
        self._lines.extend(line for line in text.splitlines() if line.strip())
        if self.hang is None and (found := _HANGS.search(text)):
            self.hang = found.group()
            self._on_hang()
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def text(self) -> str:
        return "\n".join(self._lines)


def _explanation(error: str, last_lines: _LastLines, workers: int) -> str:
    if last_lines.hang is not None:
        return f"{last_lines.hang}; all were stopped. {_ADVICE}. Where steps just take long: more train.step_timeout_s"
    failed = re.search(r"Process name: (\S+)\s+Exit code: (-?\d+)", error)
    if failed is None:
        return f"training with {workers} workers did not start or broke off: {error}. {_ADVICE}"
    worker, code = failed.group(1), int(failed.group(2))
    how = "was killed (out of memory is the usual cause)" if code in _KILLED else f"ended with exit code {code}"
    end = f"\nThe workers' last lines:\n{last_lines.text()}" if last_lines.text() else ""
    return f"training worker {worker} of {workers} {how}; the others were stopped. {_ADVICE}{end}"


# As recsys/training/watch.py says it.
_HANGS = re.compile(r"training worker \d+ of \d+ hangs: .*? \(no progress for \S+ s\)")
_KILLED = (-9, 137, -15, 143)
_ADVICE = "Nothing was registered: starting the job again is safe and goes on from the last checkpoint"
