# Thin on purpose: what the targets do is in `python -m devtools` (devtools/, docs/toolchain.md) and `python -m lab` (lab/, docs/lab.md).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv/bin
GO := $(VENV)/python -m devtools go
OUR_GO := $(addprefix standins/,pulumi-resource-command sealos machine)
PYTEST := $(VENV)/python -m pytest
# one of them has the lab (tests/conftest.py); in the order that tests/conftest.py gives
PROCESSES := --numprocesses=2 --no-loadscope-reorder
STACK ?= dev

# what the goals need of this machine (devtools/doctor.py)
PURPOSE := $(or $(if $(filter test test-all durations,$(MAKECMDGOALS)),test),$(if $(filter up down,$(MAKECMDGOALS)),up),$(firstword $(filter test-fast tools,$(MAKECMDGOALS))),preview)

# one stamp per content of the requirements, so that a changed pin is installed; two makes at once wait for each other
STAMP := .venv/.complete-$(shell cat requirements-dev.txt | cksum | cut -d' ' -f1)

.PHONY: help istioctl up preview render review drift down test test-fast test-all durations check lint go-test tools new-stack schema env venv lock bench
.NOTPARALLEL:

help: ## show this
	@echo "From bare machines to Kubernetes with an Istio mesh. The stack dev is the embedded lab on this machine (root is needed)."
	@echo "What is missing here is installed first, as root on Debian; DEPS=no only names it: make up DEPS=no"
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

up: venv ## everything from nothing: tools, lab, `pulumi up` of stack dev (the first time 10 to 12 minutes on two cores)
	@$(VENV)/python -m devtools up

preview: venv ## what `make up` (or STACK=…) would change, as a reviewer reads it, with a picture; needs no lab and no root
	@$(VENV)/python -m review show --stack $(STACK) $(if $(DIFF),--diff)

review: venv ## the pull-request check on every stack: summary, policies, gate (docs/review.md)
	@$(VENV)/python -m review check $(if $(BASE),--base $(BASE))

render: venv ## the objects that Istio will make of a stack's settings: make render [STACK=dev] [ARGS=--diff]
	@$(VENV)/python -m devtools build istio >&2
	@set="$$($(VENV)/python -m devtools env 2>/dev/null || true)"; eval "$$set"; \
		PATH="$$(dirname "$$($(VENV)/python -m devtools path istioctl)"):$$PATH" exec $(VENV)/python -m components.istio render --stack $(STACK) $(ARGS)

down: venv ## destroy stack dev, then end the lab
	@$(VENV)/python -m devtools down

test-fast: venv ## checks, and the tests of tiers unit and graph that don't drive the engine long (under a minute once set up)
	@$(VENV)/python -m devtools build --only engine
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; $(MAKE) -s check >"$$log" 2>&1 & checks=$$!; \
		set="$$($(VENV)/python -m devtools env)"; eval "$$set"; \
		$(PYTEST) $(PROCESSES) -m "not lab and not slow" && tests=0 || tests=$$?; \
		wait $$checks || { cat "$$log"; exit 1; }; exit $$tests

test: venv check go-test ## all of that, and a walk through everything on the lab (13 minutes after make up; docs/testing.md)
	@$(VENV)/python -m devtools build
	@set="$$($(VENV)/python -m devtools env)"; eval "$$set"; exec $(PYTEST) $(PROCESSES) -m "core or not lab" --durations=10

test-all: venv $(if $(SHARD),,check go-test) ## every test; SHARD=2/17: the second of seventeen pieces of what make test leaves out
	@$(VENV)/python -m devtools build
	@set="$$($(VENV)/python -m devtools env)"; eval "$$set"; exec $(PYTEST) $(PROCESSES) --durations=25 $(if $(SHARD),tests/lab --shard=$(SHARD))

durations: venv ## run every test and write how long each file took, for cutting shards
	@$(VENV)/python -m devtools build
	@set="$$($(VENV)/python -m devtools env)"; eval "$$set"; exec $(PYTEST) $(PROCESSES) --durations=50 --store-durations

go-test: venv ## tests of our own Go modules
	@for folder in $(OUR_GO); do echo "go test $$folder"; $(GO) -C $$folder test ./...; done

check: lint ## ruff, mypy --strict, shellcheck, actionlint, go vet, the stack files' schema
	@$(VENV)/mypy
	@$(VENV)/python -m devtools schema --check

lint: venv ## the quick half of check: ruff, shellcheck, actionlint, go vet
	@$(VENV)/ruff check .
	@git ls-files -z --cached --others --exclude-standard -- '*.sh' .ci/run | xargs -0 $(VENV)/shellcheck -x
	@$(GO) -C toolchain/actionlint tool actionlint -shellcheck "$(CURDIR)/$(VENV)/shellcheck" -pyflakes= "$(CURDIR)"/.github/workflows/*.yaml
	@go="$$($(VENV)/python -m devtools path go)"; found="$$("$${go%/*}/gofmt" -l toolchain standins)"; test -z "$$found" || { echo "gofmt: $$found" >&2; exit 1; }
	@for folder in $(OUR_GO); do $(GO) -C $$folder vet ./...; done

tools: venv ## build what the engine and the lab need (docs/toolchain.md)
	@$(VENV)/python -m devtools build

drift: venv ## what differs between STACK's settings, its state, the cluster and the machines (docs/review.md)
	@$(VENV)/python -m drift --stack $(STACK) $(if $(JSON),--json)

new-stack: venv ## ask for what a stack needs and write its file: make new-stack NAME=staging
	@$(VENV)/python -m devtools new-stack $(NAME)

schema: venv ## write stack.schema.json, by which editors check a stack's file, after a change of the settings
	@$(VENV)/python -m devtools schema

istioctl: venv ## istioctl with completion for this user, in PREFIX (default ~/.local)
	@$(VENV)/python -m devtools build istio
	@$(VENV)/python -m devtools istioctl

env: ## print shell lines for plain pulumi commands: eval "$(make -s env)"
	@test -x $(VENV)/python || { echo "Run 'make tools' first." >&2; exit 1; }
	@$(VENV)/python -m devtools env

venv: $(STAMP) ## Python's environment in .venv, with Go where this machine has none that is new enough
	@$(VENV)/python -m devtools.doctor $(PURPOSE)

$(STAMP): requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Fix: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -m devtools.doctor $(PURPOSE)
	@echo "Making .venv (usually 1 min)"
	@exec 9>>.venv.lock; if command -v flock >/dev/null; then flock 9; fi; test -e $@ && exit 0; \
		$(VENV)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv; \
		$(VENV)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement requirements-dev.txt; \
		rm -f .venv/.complete-*; touch $@

bench: venv ## how long and how large, against an empty program and others: make bench [ARGS="--only preview --nodes 4"] [LAB=yes]
	@$(VENV)/python -m devtools build
	@test -x .venv/bench/bin/python || $(PYTHON) -m venv .venv/bench
	@.venv/bench/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement bench/requirements.txt
	@set="$$($(VENV)/python -m devtools env)"; eval "$$set"; exec $(VENV)/python -m bench $(if $(LAB),--only lab) $(ARGS)

lock: venv ## compile the requirements files anew (needs the index; pip-tools comes into a place of its own)
	@$(PYTHON) -m venv .venv/lock && .venv/lock/bin/pip install --quiet 'pip-tools==7.6.2'
	@for file in requirements requirements-dev requirements-go bench/requirements; do .venv/lock/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
		--no-emit-index-url --no-emit-find-links $$file.in; done
