# Each command brings what it needs first (.ci/bring); a second run starts at once. Works with `make -C`.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run test test-full lint bench fmt clean lock
bin := .venv/bin
# Two processes, each with an engine and a browser of its own; the tests of a file stay together. ARGS=-n0: one.
two := -n 2 --dist loadfile --no-loadscope-reorder
checked := $(wildcard bot agent web tests benchmarks chatflows.d/*.py)

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

run: ## start Hercules here and print a link to open (data in .data, next free port from 8088)
	@.ci/bring engine
	@HERCULES_PLUGIN_FOLDER="$(CURDIR)/chatflows.d" exec $(bin)/hercules up --data "$(CURDIR)/.data" $(ARGS)

test: ## lint, types, import rules and all tests, on engines and browsers of their own
	@.ci/bring test
	@$(MAKE) -s check
	@exec $(bin)/python -m pytest $(two) $(ARGS)

test-full: ## the same and the tests that take long
	@.ci/bring test
	@$(MAKE) -s check
	@exec $(bin)/python -m pytest $(two) -m "full or not full" $(ARGS)

lint: ## ruff, mypy --strict and the import rules
	@.ci/bring dev
	@$(MAKE) -s check

.PHONY: check
check:
	@$(bin)/ruff check --quiet . && $(bin)/ruff format --check --quiet .
	@$(bin)/mypy --no-error-summary $(checked)
	@$(bin)/lint-imports --no-logo --no-cache

bench: ## measure what docs/benchmarks.md promises
	@.ci/bring test
	@exec $(bin)/python -m benchmarks $(ARGS)

fmt: ## format the code and mend what ruff can mend
	@.ci/bring dev
	@$(bin)/ruff check --quiet --fix . ; $(bin)/ruff format .

clean: ## remove .venv, caches and build output; keeps .data
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist agent/build agent/dist *.egg-info agent/*.egg-info
	@find . -name __pycache__ -not -path './.data/*' -prune -exec rm -rf {} +

# No host names in the locks: they hold on every index that serves the same bytes.
lock_flags := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--no-emit-package hercules-agent --no-emit-package hercules
lock: ## resolve the dependencies anew into the two lock files (ARGS=--upgrade for newer ones)
	@.ci/bring dev
	$(bin)/uv pip compile -q $(lock_flags) $(ARGS) pyproject.toml --extra checkout -o requirements.lock
	$(bin)/uv pip compile -q $(lock_flags) $(ARGS) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
