"""What imports what: the rules of docs/architecture.md, and life without TensorFlow."""

import ast
import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
import runs

HEAVY = {"jax", "jaxlib", "flax", "optax", "orbax", "numpy", "matplotlib"}
TENSORFLOW = {"tensorflow", "tensorflow_datasets"}
MODELS = ("ferjax.models", "ferjax.train", "ferjax.evaluate", "ferjax.checkpoint", "ferjax.parallel")
DEVICES = {"pmap", "shard_map", "psum", "pmean", "all_gather", "axis_index", "pmax", "pmin", "ppermute"}


def _imported(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after `code`."""
    command = (
        f"{code}\nimport sys, json\nprint(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=runs.ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import ferjax", HEAVY | TENSORFLOW),
        ("import ferjax.main, ferjax.config", HEAVY - {"numpy"} | TENSORFLOW),
        ("import ferjax.train, ferjax.evaluate, ferjax.results, data_pipelines.input", TENSORFLOW),
        ("import ferjax.report, ferjax.results", {"jax", "flax", "orbax"} | TENSORFLOW),
        ("import data_pipelines.arrays, data_pipelines.fer2013, data_pipelines.facsynth", TENSORFLOW),
    ],
)
def test_importing_stays_light(code, absent):
    assert _imported(code) & absent == set()


def test_one_tensorflow_for_every_system():
    """There is no tensorflow-cpu for macOS, so that an installation there must ask for another package."""
    requirements = pytest.importorskip("packaging.requirements")
    lines = [line.split("#")[0].strip() for line in (runs.ROOT / "requirements.txt").read_text().splitlines()]
    wanted = [requirements.Requirement(line) for line in lines if line]
    for system, name in (("linux", "tensorflow-cpu"), ("darwin", "tensorflow")):
        markers = {"sys_platform": system}
        found = [r.name for r in wanted if r.marker is None or r.marker.evaluate(markers)]
        assert [n for n in found if n in ("tensorflow", "tensorflow-cpu")] == [name]


def _modules(folder: str):
    """(path below the root, syntax tree) of each file."""
    found = sorted((runs.ROOT / folder).rglob("*.py"))
    assert found
    for path in found:
        yield path.relative_to(runs.ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def _imports(path: str, tree: ast.AST) -> set[str]:
    """Full names of all that a file imports, wherever in it."""
    out = set()
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            base = f"{base}{node.module or ''}".rstrip(".")
            out |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return out


def _who(folders, names) -> list[tuple[str, str]]:
    """(file, import) of every import that is one of names or below it."""
    return [
        (path, name)
        for folder in folders
        for path, tree in _modules(folder)
        for name in sorted(_imports(path, tree))
        if any(name == n or name.startswith(f"{n}.") for n in names)
    ]


def test_imports_run_one_way():
    assert _who(["data_pipelines"], ["ferjax", "experiments"]) == []
    assert _who(["ferjax"], ["experiments", "tests", "benchmarks"]) == []


def test_the_report_imports_no_model():
    assert _who(["ferjax/report"], [*MODELS, "jax", "flax", "data_pipelines.input"]) == []


def test_only_the_command_line_imports_the_report():
    found = {path for path, _ in _who(["ferjax"], ["ferjax.report"])}
    assert {path for path in found if not path.startswith("ferjax/report/")} == {"ferjax/main.py"}


def test_only_checkpoint_imports_orbax():
    assert {path for path, _ in _who(["ferjax", "data_pipelines"], ["orbax"])} == {"ferjax/checkpoint.py"}


def test_only_parallel_knows_of_devices():
    """Others may add over the axis that it names, and that is all."""
    found = set()
    for path, tree in _modules("ferjax"):
        for node in ast.walk(tree):
            name = (
                node.attr
                if isinstance(node, ast.Attribute)
                else node.id
                if isinstance(node, ast.Name)
                else ""
            )
            if name in DEVICES or name in ("Mesh", "NamedSharding", "device_put"):
                found.add((path, name))
    assert {name for path, name in found if path != "ferjax/parallel.py"} <= {"psum"}
    assert {path for path, name in found if name == "psum"} == {
        "ferjax/train.py",
        "ferjax/saliency/training.py",
    }
    assert ("ferjax/parallel.py", "pmap") in found and ("ferjax/parallel.py", "shard_map") in found


def test_only_inside_functions_is_tensorflow_imported():
    """Except in builders, which are themselves imported inside functions."""
    for folder in ("ferjax", "data_pipelines"):
        for path, tree in _modules(folder):
            if path.endswith("/builder.py"):
                continue
            top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
            named = {name.partition(".")[0] for name in _imports(path, top)}
            assert not named & TENSORFLOW, path


BLOCKED = """
import sys
for name in {blocked!r}: sys.modules[name] = None  # as if it were not installed
from ferjax.main import main
status = main(sys.argv[1:])
assert {blocked!r} or "tensorflow" not in {{m for m, v in sys.modules.items() if v}}
sys.exit(status)
"""


def test_the_device_resident_path_needs_no_tensorflow(tmp_path):
    """Trains, evaluates and reports; and to the same bits as where TensorFlow is installed."""
    config = runs.write_config(tmp_path / "experiment.py", runs.write_set(tmp_path / "set"))
    blocked = sorted(TENSORFLOW)

    def ferjax(names, *argv):
        code = BLOCKED.format(blocked=names)
        command = [sys.executable, "-c", code, *map(str, argv)]
        done = subprocess.run(command, cwd=runs.ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    for name, names in (("without", blocked), ("with", [])):
        ferjax(names, "train", "--config", config, "--workdir", tmp_path / name)
    ferjax(blocked, "evaluate", "--workdir", tmp_path / "without")
    ferjax(blocked, "report", "--workdir", tmp_path / "without")
    a, b = runs.weights(tmp_path / "without"), runs.weights(tmp_path / "with")
    assert a.keys() == b.keys()
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []
    lines = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("without", "with")]
    assert lines[0] == lines[1]


def test_triton_stays_out_of_a_process_with_tensorflow():
    """Its LLVM beside TensorFlow's is a segmentation fault; see conftest."""
    with pytest.raises(ImportError):
        importlib.import_module("triton")
    torch = pytest.importorskip("torch")
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # this is where PyTorch looks for it
