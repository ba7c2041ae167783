"""All benchmarks, one after the other, as Markdown: `make bench > /tmp/figures.md`."""

from __future__ import annotations

from benchmarks import answers, deploy, engine, plugins, start, store
from benchmarks.report import machine, quick

if __name__ == "__main__":
    few = quick()
    print(f"{machine()}\n")
    print(start.measure(3 if few else 7), flush=True)
    print(deploy.measure(3 if few else 9), flush=True)
    print(answers.measure(2.0 if few else 8.0), flush=True)
    print(plugins.measure(3 if few else 7), flush=True)
    print(engine.measure(3 if few else 9), flush=True)
    store.main(["--quick"] if few else [])
