"""Generates lossd.v1 before the package is collected; all else is in pyproject.toml."""

import pathlib
import runpy

from setuptools import setup

runpy.run_path(str(pathlib.Path(__file__).with_name("generate.py")), run_name="__main__")
setup()
