"""The command line's verbs and flags."""

import argparse
import functools

import ferjax
from data_pipelines import BadInput


class _Parser(argparse.ArgumentParser):
    """Mistakes as one line."""

    def error(self, message):
        raise BadInput(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """All verbs with their flags."""
    parser = _Parser(prog="ferjax", description=ferjax.__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, text, of=verbs, workdir=True, more=""):
        sub = of.add_parser(name, help=text, description=f"{text}. {more}".rstrip(), allow_abbrev=False)
        if workdir:
            sub.add_argument("--workdir", required=True, help="the run's folder")
        return sub

    keys = "every key with its default and meaning is in ferjax/schema.py"
    train = verb(
        "train",
        "train a network, or go on with an interrupted training",
        more=f"--config.KEY=VALUE changes a key of the config file, as in --config.train.epochs=5; {keys}.",
    )
    train.add_argument(
        "--config", required=True, help="an experiment file, or the config.json of a run; see above for keys"
    )
    train.add_argument(
        "--coordinator", help="several processes: host:port of process 0, or auto (SLURM, TPU pods)"
    )
    train.add_argument("--processes", type=int, help="with --coordinator host:port: how many; 1")
    train.add_argument(
        "--profile",
        type=int,
        nargs="?",
        const=5,
        default=0,
        metavar="STEPS",
        help="trace so many steps (5) for TensorBoard or Perfetto, into WORKDIR/profile",
    )
    train.add_argument("--process", type=int, help="with --coordinator host:port: which one this is; 0")

    train.add_argument(
        "--mirror",
        default="",
        metavar="ADDRESS",
        help="copy the folder to gs://..., s3://... as it grows; go on from there where that is further on",
    )

    test = verb(
        "evaluate",
        "evaluate a training's checkpoint on a part of its data",
        more="--config.KEY=VALUE changes a key of data, evaluate or parallel, as in "
        "--config.evaluate.views=10 (average ten shifted and mirrored views), "
        f"--config.evaluate.batch_size=64 or --config.data.dir=FOLDER; {keys}.",
    )
    test.add_argument("--data", default="", metavar="NAME", help="another set, as it is; that trained on")
    test.add_argument("--dir", default="", help="with --data: your files of that set")
    test.add_argument("--split", default="test", help="train, select or test")
    test.add_argument("--checkpoint", default="best", help="best, last or a step")

    look = verb(
        "predict",
        "look at your own pictures with a training's network, and write a table",
        more="One face a picture, the largest. --config.KEY=VALUE changes a key of evaluate, as in "
        f"--config.evaluate.views=10; {keys}.",
    )
    look.add_argument(
        "--images", required=True, help="a folder (and all below it), a picture, or a manifest.csv"
    )
    look.add_argument(
        "--out", required=True, metavar="CSV", help="the table; what it rests on goes to CSV.json"
    )
    look.add_argument("--format", default="py-feat", help="whose columns: py-feat, openface or libreface")
    look.add_argument("--crop", default="", help="detect or none; that of the set trained on")
    look.add_argument("--checkpoint", default="best", help="best, last or a step")

    report = verb("report", "write W/report/index.html from what is in the run's folder")
    report.add_argument("--no-faces", action="store_true", help="leave out every picture of a face")

    look = verb(
        "attribute",
        "match a training's filters to FACS action units, with controls",
        more="--config.KEY=VALUE changes a key of data or attribute, as in --config.attribute.top_n=20 or "
        f"--config.attribute.random_networks=5; {keys}.",
    )
    look.add_argument("--data", default="", metavar="NAME", help="a set with action units; that trained on")
    look.add_argument("--dir", default="", help="your files of that set")
    look.add_argument("--config", help="train this experiment in the workdir first, or finish its training")
    look.add_argument("--no-faces", action="store_true", help="the report without any picture of a face")

    again = verb(
        "reproduce",
        "run a study of many trainings, or go on with it, and write its tables",
        more="--config.KEY=VALUE changes a key of the study, as in --config.seeds=1 or "
        "--config.sets.ck_plus.source.train.epochs=5.",
    )
    again.add_argument("--config", required=True, help="such as experiments/breuer2017/cross_dataset.py")
    again.add_argument(
        "--dir",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="files of a set of the study; repeat",
    )
    again.add_argument("--jobs", type=int, default=1, help="processes that share the cells; 1")
    again.add_argument(
        "--no-budget", action="store_true", help="begin without measuring how long it will take"
    )

    look = verb(
        "saliency",
        "write maps of what stands out in pictures",
        workdir=False,
        more="With --config, --config.KEY=VALUE changes a key of that file, as in --config.data.dir=FOLDER.",
    )
    look.add_argument("--images", default="", metavar="FOLDER", help="pictures, there and below")
    look.add_argument("--config", default="", help="instead: all images of this experiment, as prepared")
    look.add_argument("--method", required=True, help="ml_net, spectral or centre")
    look.add_argument("--weights", default="", metavar="FILE", help="ml_net: mlnet_salicon_weights.pkl")
    look.add_argument("--workdir", default="", help="ml_net, instead: of a training of it")
    look.add_argument("--out", required=True, metavar="FOLDER", help="for the maps; goes on where it stopped")

    copy = verb("mirror", "copy a run's folder to an object store, or fetch it from there")
    copy.add_argument("--to", default="", metavar="ADDRESS", help="such as gs://bucket/runs/fer2013")
    copy.add_argument("--from", default="", dest="source", metavar="ADDRESS", help="the same, the other way")

    data = verb("data", "look at a data set, or export its parts", workdir=False)
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = functools.partial(verb, of=actions, workdir=False)
    check = action("check", "what is there, beside what was published")
    check.add_argument("name", metavar="NAME", help="folder under data_pipelines, such as fer2013")
    check.add_argument("--dir", required=True, help="your files")
    export = action(
        "export",
        "write train.npz, select.npz and test.npz, which data.name=npz reads",
        more="--config.KEY=VALUE changes a key of the config file.",
    )
    export.add_argument("config", metavar="CONFIG", help="an experiment file, or the config.json of a run")
    export.add_argument("--out", required=True, help="folder for the files")
    write = action(
        "manifest",
        "write a set of clips as a CSV that data.name=manifest reads",
        more="One row a frame, with its clip, onset, apex and offset, to mend, add to, or thin out.",
    )
    write.add_argument("name", metavar="NAME", help="casme2, smic or samm")
    write.add_argument("--dir", required=True, help="your files")
    write.add_argument("--out", default="", metavar="CSV", help="the file; manifest.csv in --dir")
    write.add_argument("--force", action="store_true", help="overwrite a file that is there")
    write.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="as data.options.NAME, such as tree=raw or camera=VIS; repeat",
    )
    parser.set_defaults(action="")
    return parser


def overrides(args, rest: list[str]) -> list[str]:
    """--config.a.b=value and --config.a.b value, as "a.b=value"."""
    verb = f"{args.verb} {args.action or ''}".strip()
    out, rest = [], list(rest)
    while rest:
        text = rest.pop(0)
        if not text.startswith("--config.") or verb in ("report", "mirror", "data check", "data manifest"):
            raise BadInput(f"unknown argument {text}; see ferjax {verb} --help")
        if "=" not in text and rest and not rest[0].startswith("--"):
            text += "=" + rest.pop(0)
        out.append(text.removeprefix("--config."))
    return out
