"""Name the folder this file lies in `agent`, with every package below it.

pyproject.toml can map a package to its own folder, but cannot then find the packages below; a hand-written
list would be forgotten at the next new room.
"""

from setuptools import find_packages, setup

setup(
    packages=["agent", *(f"agent.{name}" for name in find_packages("."))],
    package_dir={"agent": "."},
    package_data={"": ["py.typed", "*.json", "*.sql"]},
)
