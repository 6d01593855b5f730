"""The command line as a user meets it: what a refusal must look like."""

from ferjax.main import main

ONE = "--config.parallel.devices=1"


def train_words(place, workdir, *words):
    """`ferjax train` of the experiment in `place`."""
    return ["train", "--config", str(place / "experiment.py"), "--workdir", str(workdir), ONE, *words]


def files_of(folder) -> dict:
    """Every file's bytes, but for the lock."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def refused(capsys, argv, *words, before=()) -> str:
    """Runs the command line; its last line is the only one about a mistake, the others are `before`."""
    capsys.readouterr()
    status = main(list(map(str, argv)))
    lines = capsys.readouterr().err.splitlines()
    assert status == 2, lines
    assert [line for line in lines[:-1] if not line.startswith(tuple(before))] == []
    assert lines[-1].startswith("ferjax: ")
    for word in words:
        assert str(word) in lines[-1], lines[-1]
    return lines[-1]


def write_csv(folder, change):
    """A fer2013.csv of sixty blank pictures, as `change` leaves its text."""
    folder.mkdir()
    line = "0," + " ".join(["7"] * 48 * 48) + ","
    text = "emotion,pixels,Usage\n" + "".join(
        f"{line}{u}\n" for u in ("Training", "PublicTest", "PrivateTest") * 20
    )
    (folder / "fer2013.csv").write_text(change(text))


def cut(path, share=0.5):
    """Leaves that share of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
