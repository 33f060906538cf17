# A front door over Meson: `make run` and `make test` do everything on a fresh Debian 12 machine.
# Builders who know Meson may use it directly; HACKING.md tells which options each directory has.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

# The superuser installs for everybody, everybody else for themselves.
PREFIX ?= $(shell if [ "$$(id -u)" = 0 ]; then echo /usr/local; else echo "$$HOME/.local"; fi)
DESTDIR ?=
FUZZ_SECONDS ?= 60
TEST_ARGS ?=

export DESTDIR PREFIX

all: build/build.ninja ## build the programs (build/) and the kernel (cached in ~/.cache/lxss)
	ninja -C build
	kernel/build.sh >/dev/null

run: ## install what is needed, build, install, install Debian, open a shell in it
	tools/install-deps build kernel image
	$(MAKE) install
	tools/first-run "$(PREFIX)"

test: ## install what the tests need, then run all of them
	tools/install-deps build kernel image test
	tests/run.sh $(TEST_ARGS)

test-kill: ## the kill test alone, 50 rounds
	tools/install-deps build kernel image test
	KILL_ROUNDS=$${KILL_ROUNDS:-50} tests/run.sh --only e2e --files kill

install: all ## install into PREFIX (/usr/local as root, else ~/.local); DESTDIR is honoured
	tools/install-tree build

uninstall: ## remove what install put there; distributions stay
	tools/uninstall-tree

bench: ## measure; table on the terminal, build/bench.json
	tools/install-deps build kernel image bench
	$(MAKE) all
	bench/run.sh

fuzz: ## run every fuzz target for FUZZ_SECONDS
	tools/install-deps build test
	tools/configure build-fuzz
	ninja -C build-fuzz
	tools/run-fuzzers build-fuzz $(FUZZ_SECONDS)

format: ## let clang-format settle it
	tools/install-deps lint
	tools/format

lint: ## layers, format of shell scripts, clang-tidy
	tools/install-deps build test lint
	tools/lint

clean: ## remove the build directories; the kernel's cache stays
	rm -rf build build-dev build-fuzz

build/build.ninja: FORCE
	@tools/configure build --prefix="$(PREFIX)"

help: ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: all run test test-kill install uninstall bench fuzz format lint clean help FORCE
