# `make help` lists what there is to make. The work is in scripts/, so that nothing depends on make's quoting.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup kubernetes openstack demo demo-containers demo-metal demo-openstack down test check static quick real long lock clean
MAKEFLAGS += --keep-going

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Debian packages and .venv; a second run takes a second
	@scripts/setup

kubernetes: setup ## the programs of Kubernetes for the tests: a quarter of an hour once, then from the cache
	@scripts/kubernetes-binaries >/dev/null

openstack: setup ## the services of OpenStack for the tests: a few minutes once, then from the cache
	@scripts/openstack-region >/dev/null

demo: setup ## a department applies for three virtual machines and gets them, here
	@.venv/bin/python -m scripts.demo up

demo-containers: setup kubernetes ## a department applies for six containers on a real Kubernetes, here
	@.venv/bin/python -m scripts.demo_containers

demo-metal: setup ## a department applies for two bare machines of a rack behind BMCs, and gives them back wiped, here
	@.venv/bin/python -m scripts.demo_metal

demo-openstack: setup openstack ## a department applies for three servers in an OpenStack region that is seen in two ways, here
	@.venv/bin/python -m scripts.demo_openstack

down: ## take the demo away, with all it started
	@if [ -x .venv/bin/python ]; then .venv/bin/python -m scripts.demo down; else echo "nothing is set up here"; fi

test: quick real ## all tests, those on real libvirt, QEMU and Kubernetes included

check: static quick ## format, lint, types, import contracts, quick tests

quick: setup ## the tests that need no hypervisor
	@scripts/test quick

real: setup kubernetes openstack ## those on real libvirt, QEMU, Kubernetes and OpenStack, which need root
	@scripts/test real

long: setup ## what takes too long for CI, all under emulation: hypervisors made and patched, kills at every task, the rest of the contract on a rack
	@scripts/test long

static: setup ## the part of `check` that runs nothing
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	cd playbooks && PATH="$(CURDIR)/.venv/bin:$$PATH" ansible-lint --offline -q

lock: ## write requirements.lock anew from pyproject.toml
	@scripts/lock

clean: ## remove what was built here (not the demo: `make down`; not the caches of guest images, Kubernetes and OpenStack)
	rm -rf .venv .run build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
