"""The command line: what each verb does; its flags are in `flags`."""

import argparse
import functools
import logging
import os
import signal
import sys

from data_pipelines import BadInput
from ferjax import flags


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; a user's mistake is one line on stderr and status 2."""
    handler = logging.StreamHandler()
    handler.addFilter(Once())
    logging.basicConfig(format="%(levelname)s: %(message)s", handlers=[handler])
    verb = ""
    try:
        given = sys.argv[1:] if argv is None else argv
        args, rest = flags.parser().parse_known_args(given, argparse.Namespace(given=given))
        verb = f"{args.verb} {args.action}".strip()
        return VERBS[args.verb](args, flags.overrides(args, rest)) or 0
    except BadInput as e:
        return _say(str(e))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        return _say(f"{where}{e.strerror or e}; mend that and run the same command again")
    except KeyboardInterrupt as e:
        number = signal.Signals(e.args[0] if e.args else signal.SIGINT)
        return _say(f"stopped by {number.name}; what was saved before is whole", 128 + number)
    except (MemoryError, RuntimeError) as e:  # XLA's errors are RuntimeErrors
        if not (isinstance(e, MemoryError) or "RESOURCE_EXHAUSTED" in str(e)):
            raise
        what = SMALLER.get(verb, "free some memory, or use a larger machine")
        return _say(f"out of memory: {str(e) or 'the host is full'}; {what}")


class Once(logging.Filter):
    """Lets a warning through once: a set that is read several times says but once what is odd about it."""

    def __init__(self):
        super().__init__()
        self.said = set()

    def filter(self, record):
        """Whether this text is new."""
        text = record.getMessage()
        new = text not in self.said
        self.said.add(text)
        return new


SMALLER = {
    "train": "lower input.batch_size or evaluate.batch_size, or set input.placement=host",
    "evaluate": "lower --config.evaluate.batch_size",
    "reproduce": "lower --config.sets.<name>.source.input.batch_size (and .head, .fine), or --jobs",
    "attribute": "lower --config.attribute.batch_size, or take the first few with --config.data.limit",
    "predict": "lower --config.evaluate.batch_size",
    "saliency": "free some memory, or take --method spectral",
    "data export": "lower --config.data.image_size, or take the first few with --config.data.limit",
}
"""What needs less memory, by verb."""


def _say(text: str, status: int = 2) -> int:
    line = " ".join(text.split())
    print(f"ferjax: {line if len(line) < 1000 else line[:1000] + ' ...'}", file=sys.stderr)
    return status


def _train(args, overrides) -> int:
    from ferjax import config

    where = _several(args)
    if args.profile < 0:
        raise BadInput(f"--profile is {args.profile}; give the number of steps to trace")
    loaded = config.load(args.config, overrides)
    if where:
        from ferjax import processes

        if not os.environ.get(processes.SUPERVISED):
            return processes.supervised(args.given, args.workdir)
        processes.end_with_parent()
    from ferjax import compiled, parallel, train

    compiled.keep()

    if where:
        try:
            parallel.connect(*where)
        except (RuntimeError, ValueError) as e:  # of jax.distributed: nobody there, no cluster found
            lines = str(e).strip().splitlines() or ["no reason given"]
            raise BadInput(
                f"--coordinator {args.coordinator}: cannot join the other processes ({lines[0]}); check the "
                "address, and that all of them run"
            ) from e
    return train.train(loaded, args.workdir, args.profile, args.mirror)


def _several(args) -> tuple[str, int, int] | None:
    """What `parallel.connect` takes; None for one process."""
    numbers = {"--processes": args.processes, "--process": args.process}
    given = [name for name, value in numbers.items() if value is not None]
    if not args.coordinator or args.coordinator == "auto":
        if given:
            raise BadInput(f"{given[0]} needs --coordinator host:port, the address of process 0")
        return ("", 1, 0) if args.coordinator else None
    processes, process = args.processes or 1, args.process or 0
    if args.processes is not None and args.processes < 1:
        raise BadInput(f"--processes is {args.processes}; it must be at least 1")
    if not 0 <= process < processes:
        raise BadInput(
            f"--process is {process}; with --processes {processes} it must be 0 to {processes - 1}"
        )
    return args.coordinator, processes, process


def _evaluate(args, overrides) -> int:
    from ferjax import compiled, evaluate, results

    compiled.keep()
    if args.data:
        from ferjax import across

        key = "evaluate.human="
        people = [text.removeprefix(key) for text in overrides if text.startswith(key)]
        data = across.of_set(args.data, args.dir, [text for text in overrides if not text.startswith(key)])
        people = people[-1] if people else None
        paths = across.across(args.workdir, data, args.split, args.checkpoint, people=people)
    else:
        paths = evaluate.evaluate(args.workdir, args.split, args.checkpoint, overrides)
    for path in paths:
        print(results.words(path))
    return 0


def _predict(args, overrides) -> int:
    from ferjax import compiled, predict

    compiled.keep()
    facts = predict.predict(
        args.workdir, args.images, args.out, args.format, args.crop, args.checkpoint, overrides
    )
    print(predict.words(facts), file=sys.stderr)
    print(f"predictions: {args.out}")
    return 0


def _report(args, overrides) -> int:
    from ferjax import report

    del overrides
    print(f"report: {report.write_report(args.workdir, faces=not args.no_faces)}")
    return 0


def _attribute(args, overrides) -> int:
    from ferjax import compiled, report
    from ferjax.attribution import study, terminal

    compiled.keep()
    if args.config:
        from ferjax import config, train

        loaded = config.load(args.config)
        if args.data in ("", loaded.data.name):  # the set trained on is the one looked at
            of_data = [text for text in overrides if text.startswith("data.")]
            given = [f"data.dir={args.dir}"] if args.dir else []
            loaded = config.load(args.config, [*given, *of_data])
        status = train.train(loaded, args.workdir)
        if status:
            return status
    folder, status = study.attribute(args.workdir, args.data, args.dir, overrides)
    if not status:
        print(terminal.words(folder))
        print(f"report: {report.write_report(args.workdir, faces=not args.no_faces)}")
    return status


def _reproduce(args, overrides) -> int:
    from ferjax import compiled, processes, report, reproduce

    compiled.keep()
    if args.jobs < 1:
        raise BadInput(f"--jobs is {args.jobs}; it must be at least 1")
    study = reproduce.load(args.config, overrides, args.dir)
    if args.jobs > 1:
        dirs = [word for text in args.dir for word in ("--dir", text)]
        keys = [f"--config.{text}" for text in overrides]
        command = ["reproduce", "--config", args.config, "--workdir", args.workdir, *dirs, *keys]
        status = processes.shared(command, args.jobs)
        if status:
            return status
    say = functools.partial(print, file=sys.stderr, flush=True)
    folder, status = reproduce.reproduce(study, args.workdir, say, budget=not args.no_budget)
    if not status:
        print((folder / "table.md").read_text("utf-8"))
        print(f"report: {report.write_report(args.workdir)}")
    return status


def _saliency(args, overrides) -> int:
    from ferjax import compiled
    from ferjax.saliency import maps

    compiled.keep()
    if bool(args.images) == bool(args.config):
        raise BadInput("name the pictures: --images FOLDER, or --config EXPERIMENT for those of a training")
    if args.images and overrides:
        raise BadInput(f"--config.{overrides[0]} changes a key of --config FILE, and none was given")
    sources = maps.below(args.images, args.out) if args.images else maps.of_experiment(args.config, overrides)
    told = maps.write(args.out, args.method, sources, args.weights, args.workdir)
    print(maps.words(told, args.out), file=sys.stderr)
    if not told["made"] + told["kept"]:
        raise BadInput(f"no map was written to {args.out}: none of the pictures can be read")
    print(f"maps: {args.out}")
    return 0


def _data(args, overrides) -> int:
    from data_pipelines import arrays, exported

    if args.action == "check":
        return arrays.print_check(args.name, args.dir)
    if args.action == "manifest":
        print(arrays.write_manifest(args.name, args.dir, args.out, args.force, args.option))
        return 0
    from ferjax import config

    exported.write(arrays.load_parts(config.load(args.config, overrides).data), args.out)
    print(f"train.npz, select.npz, test.npz are in {args.out}; data.name=npz, data.dir={args.out} reads them")
    return 0


def _mirror(args, overrides) -> int:
    from ferjax import mirror, run

    del overrides
    if bool(args.to) == bool(args.source):
        raise BadInput("say which way: --to ADDRESS or --from ADDRESS")
    if args.to and not os.path.isdir(args.workdir):
        raise BadInput(f"--workdir {args.workdir} is no folder; give that of a run")
    workdir = run.open_workdir(args.workdir)
    copy = mirror.Mirror(workdir, args.to or args.source, writes=bool(args.to))
    with run.lock(workdir):
        if args.to:
            copy.push()
        elif not copy.listed:
            raise BadInput(f"there is no run at {args.source}: no {mirror.LIST} was found")
        else:
            copy.fetch()
    print(f"step {copy.step()}: {args.workdir} and {copy.address}")
    return 0


VERBS = {
    "train": _train,
    "evaluate": _evaluate,
    "predict": _predict,
    "report": _report,
    "attribute": _attribute,
    "reproduce": _reproduce,
    "saliency": _saliency,
    "mirror": _mirror,
    "data": _data,
}


if __name__ == "__main__":
    sys.exit(main())
