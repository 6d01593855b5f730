"""Eight CPU devices for every test; no GPU, no network; what is compiled twice is compiled once."""

import os
import pathlib
import shutil
import sys
import tempfile

import pytest

os.environ["JAX_PLATFORMS"] = "cpu"
# Much of the tests' time is LLVM's: `make test` took 1,412 s at level 1 and 2,254 s before (28 November 2026,
# two cores of an AMD EPYC). What XLA does to the graph stays the same.
# XLA_FLAGS=--xla_backend_optimization_level=3 make test: as a user's programs are compiled.
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_backend_optimization_level=1",
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
    )
)
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["MPLBACKEND"] = "Agg"

# PyTorch as PyPI has it for Linux brings triton, whose LLVM and TensorFlow's end the process when both are
# loaded (segmentation fault, torch 2.13 with TensorFlow 2.21); PyTorch does without one it cannot import.
sys.modules["triton"] = None

_compiled = tempfile.TemporaryDirectory(prefix="ferjax-compiled-")  # goes with this process
os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


LONG = (
    "test_resume",
    "test_processes",
    "test_micro_study",
    "test_weighted_study",
    "test_fer2013",
    "test_facsynth",
)


def pytest_collection_modifyitems(items):
    """Files of minutes first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The files of a tiny set."""
    import runs

    return runs.write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def one_device(data_dir, tmp_path_factory):
    """A run of 21 steps on that set, with SGD on one device, by pmap."""
    import runs

    from ferjax import train

    workdir = tmp_path_factory.mktemp("one")
    assert train.train(runs.tiny_config(data_dir, train__epochs=7, parallel__devices=1), str(workdir)) == 0
    return workdir


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """experiment.py, its data in set/, and a run of one epoch (steps 1 to 3) in trained/."""
    import cli
    import runs

    folder = tmp_path_factory.mktemp("main")
    runs.write_config(folder / "experiment.py", runs.write_set(folder / "set"))
    assert cli.main([*cli.train_words(folder, folder / "trained"), "--config.train.epochs=1"]) == 0
    return folder


@pytest.fixture
def trained(place, tmp_path):
    """A copy of the run, to break."""
    return shutil.copytree(place / "trained", tmp_path / "trained")


@pytest.fixture(scope="session")
def trained_network():
    """A network after 40 steps on the bright squares, with a head of two outputs; six new pictures."""
    import jax
    import jax.numpy as jnp
    import runs
    import small_networks

    from ferjax.attribution.network import Network

    split = runs.tiny_split(64, 0)
    model, params = small_networks.build()
    params, _ = small_networks.train(model, params, split.image, split.label, steps=40, batch=32)
    kernel = jax.random.normal(jax.random.key(5), (8, 2))
    net = Network(model, params, {"kernel": kernel, "bias": jnp.ones(2)}, au_names=("AU01", "AU12"))
    x = jnp.asarray(runs.tiny_split(6, 1).image, jnp.float32) / 255
    return net, x


@pytest.fixture(scope="session")
def explorer_large(tmp_path_factory):
    """A workdir with the attribution of 448 filters, and its page; to read."""
    import explorer_files

    from ferjax import report

    workdir = tmp_path_factory.mktemp("large")
    explorer_files.write_attribution(workdir)
    report.write_explorer(workdir, "made_up")
    return workdir


@pytest.fixture(scope="session")
def explorer_small(tmp_path_factory):
    """A workdir with 14 filters; to read, and to write its page."""
    import explorer_files

    workdir = tmp_path_factory.mktemp("small")
    explorer_files.write_attribution(workdir, filters=14, inputs=12, size=32)
    return workdir


@pytest.fixture
def explorer_copy(explorer_small, tmp_path):
    """A copy of the small one without its page, to break."""
    return shutil.copytree(explorer_small, tmp_path / "copy", ignore=shutil.ignore_patterns("report"))


@pytest.fixture(scope="module")  # no longer: playwright's event loop is in the way of others' asyncio.run
def browser():
    """Chromium: Debian's, or whichever is on the path."""
    names = ("/usr/bin/chromium", "chromium", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no browser: install Debian's chromium, or put chromium or google-chrome on the path")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = (
        "--no-sandbox --disable-gpu --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-quic"
    )
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=flags.split())
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """visit(path, "#filter=..."): the page, opened from disk. In the end: nothing loaded, nothing amiss."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    said, asked = [], []

    def go(path, link=""):
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        address = pathlib.Path(path).resolve().as_uri()
        page.goto(address + link)
        go.own = (address, "data:")
        return page

    yield go
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(go.own)] == []


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data; what needs it is skipped where there is none."""
    folder = os.environ.get("FERJAX_REAL_DATA")
    if not folder:
        pytest.skip("FERJAX_REAL_DATA is not set")
    return pathlib.Path(folder)
