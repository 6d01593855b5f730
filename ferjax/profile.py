"""A trace of some steps of training, for TensorBoard or Perfetto: what `ferjax train --profile` writes."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator

import jax

from ferjax.parallel import InFlight

FIRST = 10  # steps of this start that are left out, or as many as there are: compiling, caches, full queues


def traced(
    calls: Iterator[tuple],
    queue: InFlight,
    workdir: pathlib.Path,
    count: int,
    done: int,
    steps: int,
    say: Callable[[str], None],
) -> Iterator[tuple]:
    """The calls of a training loop; some of its steps are traced.

    The trace covers whole steps, and all steps of a call: the devices are waited for where it begins and
    where it ends. Each call is an event "train" whose `step_num` is its first step, from when its batch is at
    hand to when the next one is asked for; so what lies between two of them is the wait for input. Nothing
    that is computed changes.

    Args:
      calls: yields (steps, batch) of the loop.
      queue: the loop's steps in flight.
      workdir: W; files go to W/profile, a folder for each trace.
      count: steps to trace, from 1.
      done: steps done before this start.
      steps: of the whole run. The last `count` are traced where fewer than FIRST come before them.
      say: takes the line that tells where the trace is.
    Raises:
      OSError: the trace cannot be written.
    """
    first = done + 1 + max(0, min(FIRST, steps - done - count))
    last = min(first + count - 1, steps)
    folder, running, begun = workdir / "profile", contextlib.ExitStack(), 0
    with running:
        for numbers, batch in calls:
            inside = numbers[-1] >= first and numbers[0] <= last
            if inside and not begun:
                begun = numbers[0]
                queue.wait()
                running.enter_context(_trace(folder))
            with _event(numbers[0], inside):
                yield numbers, batch
            if inside and numbers[-1] >= last:
                queue.wait()
                running.close()
                say(_words(folder, begun, numbers[-1]))
    if done >= steps:
        say("no profile: all steps are done; take a new --workdir")


def _event(step: int, inside: bool):
    return jax.profiler.StepTraceAnnotation("train", step_num=step) if inside else contextlib.nullcontext()


@contextlib.contextmanager
def _trace(folder: pathlib.Path):
    """Traces what runs in here."""
    folder.mkdir(exist_ok=True)
    jax.profiler.start_trace(folder, create_perfetto_trace=True)
    try:
        yield
    finally:
        jax.profiler.stop_trace()


def perfetto(folder: pathlib.Path) -> pathlib.Path:
    """The newest trace in W/profile: trace events, gzipped JSON."""
    return max(folder.glob("plugins/profile/*/perfetto_trace.json.gz"), key=lambda path: path.parent.name)


def _words(folder: pathlib.Path, first: int, last: int) -> str:
    return (
        f"profile of steps {first} to {last}: open {perfetto(folder)} in https://ui.perfetto.dev, or "
        f"tensorboard --logdir {folder} (with the plugin xprof)"
    )
