"""Processes that run ferjax: several that share a job's cells, and one of several that are one training."""

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Sequence

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SUPERVISED = "FERJAX_SUPERVISED"  # set for the process that trains, beneath the one that looks after it
TRY_AGAIN = 75  # exit status of a process whose companions are gone: sysexits' EX_TEMPFAIL
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
LOST = (134, 139)  # SIGABRT: how jax ends a process that lost the others; SIGSEGV: at times


def shared(command: Sequence[str], jobs: int) -> int:
    """Runs the same ferjax command in so many processes, which share the cells; the first tells the budget.

    A signal that reaches this process is passed on, and all of them save and stop.

    Args:
      command: arguments of ferjax, without --jobs.
      jobs: processes.
    Returns:
      the first exit status that is not 0, or 0.
    """
    first = [sys.executable, "-m", "ferjax.main", *command]
    return together([first, *([[*first, "--no-budget"]] * (jobs - 1))])


def together(commands: Sequence[Sequence[str]], **env: str) -> int:
    """Runs commands side by side; the first exit status that is not 0 (128 + a signal's number), or 0.

    Each has a session of its own: what the terminal sends to its whole group, such as Ctrl-C, reaches this
    process alone, which passes it on, once. A second one ends a worker at once. None outlives this process,
    unless that is killed. `env` are variables they get beside those of this process.
    """
    workers, told = [], []

    def pass_on(number, _frame):
        told.append(number)
        for worker in workers:
            if worker.poll() is None:  # a terminal that is gone: save and stop
                worker.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    caught = [s for s in STOPPING if signal.getsignal(s) != signal.SIG_IGN]  # nohup has SIGHUP ignored
    before = {s: signal.signal(s, pass_on) for s in caught}
    try:
        for command in commands:
            if told:
                break
            workers.append(subprocess.Popen(command, start_new_session=True, env={**os.environ, **env}))
        statuses = [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
        for s, handler in before.items():
            signal.signal(s, handler)
    return next((s if s > 0 else 128 - s for s in statuses if s), 128 + told[0] if told else 0)


def end_with_parent() -> None:
    """Has Linux send this process SIGTERM when its parent is gone, so that it saves and stops."""
    with contextlib.suppress(OSError, AttributeError):  # elsewhere it goes on alone
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def supervised(command: Sequence[str], workdir: str) -> int:
    """Runs one process of a training over several, and says in a line when another one is gone.

    jax ends a process whose companions no longer answer from within, with a page of addresses and no word of
    what was saved; so the training runs beneath this process, which has no part in it.

    Args:
      command: arguments of ferjax.
      workdir: of the training.
    Returns:
      its exit status; `TRY_AGAIN` where another process of the run is gone.
    """
    status = together([[sys.executable, "-m", "ferjax.main", *command]], **{SUPERVISED: "1"})
    if status not in LOST:
        return status
    steps = [int(p.name) for p in (pathlib.Path(workdir) / "checkpoints").glob("[0-9]*") if p.name.isdigit()]
    saved = f"step {max(steps)} is saved in {workdir}" if steps else "nothing was saved yet"
    print(
        f"ferjax: another process of this run ended or no longer answers, or this one crashed; {saved}; "
        "end those that are left, and start all of them again with the same commands: they go on from there",
        file=sys.stderr,
    )
    return TRY_AGAIN
