"""The command line: verbs and flags, nothing else."""

import argparse
import logging
import os
import signal
import sys

import ferjax
from data_pipelines import BadInput


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; a user's mistake is one line on stderr and status 2."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        args, rest = _parser().parse_known_args(sys.argv[1:] if argv is None else argv)
        return VERBS[args.verb](args, _overrides(args.verb, rest)) or 0
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
        sizes = "input.batch_size (train) or evaluate.batch_size, or set input.placement=host"
        return _say(f"out of memory: {str(e) or 'the host is full'}; lower {sizes}")


def _say(text: str, status: int = 2) -> int:
    line = " ".join(text.split())
    print(f"ferjax: {line if len(line) < 1000 else line[:1000] + ' ...'}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """Mistakes as one line."""

    def error(self, message):
        raise BadInput(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ferjax", description=ferjax.__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, text, workdir=True):
        sub = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        if workdir:
            sub.add_argument("--workdir", required=True, help="the run's folder")
        return sub

    train = verb("train", "train a network, or go on with an interrupted training")
    train.add_argument(
        "--config", required=True, help="an experiment file; change keys with --config.KEY=VALUE"
    )
    train.add_argument(
        "--coordinator", help="several processes: host:port of process 0, or auto (SLURM, TPU pods)"
    )
    train.add_argument("--processes", type=int, default=1, help="with --coordinator: how many")
    train.add_argument("--process", type=int, default=0, help="with --coordinator: which one this is")

    test = verb("evaluate", "evaluate a training's checkpoint on a part of its data")
    test.add_argument("--split", default="test", help="train, select or test")
    test.add_argument("--checkpoint", default="best", help="best, last or a step")

    report = verb("report", "write W/report/index.html from what is in the run's folder")
    report.add_argument("--no-faces", action="store_true", help="leave out every picture of a face")

    check = verb("data", "look at a data set: what is there, beside what was published", workdir=False)
    check.add_argument("action", choices=("check", "export"))
    check.add_argument("name", help="folder under data_pipelines, such as fer2013; for export: a config file")
    check.add_argument("--dir", default="", help="check: the user's files")
    check.add_argument("--out", default="", help="export: folder for train.npz, select.npz, test.npz")
    return parser


def _overrides(verb: str, rest: list[str]) -> list[str]:
    """--config.a.b=value and --config.a.b value, as "a.b=value"."""
    out, rest = [], list(rest)
    while rest:
        text = rest.pop(0)
        if not text.startswith("--config.") or verb == "report":
            raise BadInput(f"unknown argument {text}; see ferjax {verb} --help")
        if "=" not in text and rest and not rest[0].startswith("--"):
            text += "=" + rest.pop(0)
        out.append(text.removeprefix("--config."))
    return out


def _train(args, overrides) -> int:
    from ferjax import config

    loaded = config.load(args.config, overrides)
    from ferjax import parallel, train

    if args.coordinator:
        parallel.connect("" if args.coordinator == "auto" else args.coordinator, args.processes, args.process)
    return train.train(loaded, args.workdir)


def _evaluate(args, overrides) -> int:
    from ferjax import evaluate, results

    for path in evaluate.evaluate(args.workdir, args.split, args.checkpoint, overrides):
        print(results.words(path))
    return 0


def _report(args, overrides) -> int:
    from ferjax import report

    del overrides
    print(f"report: {report.write_report(args.workdir, faces=not args.no_faces)}")
    return 0


def _data(args, overrides) -> int:
    from data_pipelines import arrays

    if args.action == "check":
        return arrays.print_check(args.name, args.dir)
    from ferjax import config

    if not args.out:
        raise BadInput("data export needs --out FOLDER")
    arrays.export(arrays.load_parts(config.load(args.name, overrides).data), args.out)
    print(f"train.npz, select.npz, test.npz are in {args.out}; data.name=npz, data.dir={args.out} reads them")
    return 0


VERBS = {"train": _train, "evaluate": _evaluate, "report": _report, "data": _data}


if __name__ == "__main__":
    sys.exit(main())
