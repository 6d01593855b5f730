"""Installs the packages ferjax and data_pipelines, and the command `ferjax`."""

import pathlib
import re

import setuptools

here = pathlib.Path(__file__).parent


def lines(name: str) -> list[str]:
    """The requirements of a file, without comments and references to other files."""
    text = (here / name).read_text().splitlines()
    return [entry for line in text if (entry := line.split("#")[0].strip()) and not entry.startswith("-")]


setuptools.setup(
    name="ferjax",
    version=re.search(r'__version__ = "(.+)"', (here / "ferjax/__init__.py").read_text()).group(1),
    description="What does a network that reads facial expressions look at, and is it what FACS says?",
    long_description=(here / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=setuptools.find_packages(include=["ferjax*", "data_pipelines*"]),
    package_data={"ferjax.report": ["*.js"]},
    install_requires=lines("requirements.txt"),
    extras_require={
        "cuda": ["jax[cuda12]"],
        "tpu": ["jax[tpu]"],
        "gcs": ["gcsfs"],
        "s3": ["s3fs"],
        "dev": lines("requirements-dev.txt"),
    },
    entry_points={"console_scripts": ["ferjax = ferjax.main:main"]},
)
