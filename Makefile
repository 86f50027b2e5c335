# The task runner. `make` lists the tasks.

BUILD := build/release
PYTHON := .venv/bin/python
JOBS := $(shell nproc)

CPP_FILES = $(shell git ls-files '*.cc' '*.h' '*.cu' '*.cuh')
CC_FILES = $(shell git ls-files '*.cc')

# ccache may look through precompiled headers and ignore where the checkout lies.
export CCACHE_SLOPPINESS := pch_defines,time_macros,include_file_mtime,include_file_ctime
export CCACHE_NOHASHDIR := 1
export CCACHE_BASEDIR := $(CURDIR)

.PHONY: help setup build docs demo test test-cpp test-python test-deploy test-ops image bench lint tidy format clean asan tsan fuzz soak flat-test cuda gpu-test gpu-bench gpu-pack wheel tarball

help:  ## List the tasks.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:  ## Install packages and .venv; nothing when nothing is missing.
	@scripts/setup.sh

build: setup  ## Build server, clients, tests and benchmarks.
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release
	@scripts/generate_python.sh

docs: build  ## Write what is generated in docs/, and build the site, strictly: build/site.
	@LOSSD_WRITE_DOCS=1 $(BUILD)/src/lossd/plan/losses_doc_test --gtest_brief=1
	@$(PYTHON) scripts/generate_docs.py $(BUILD)/client/cpp/lossctl
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet
	@echo "docs: build/site/index.html"

demo: build  ## Train a small network whose losses a lossd server computes.
	@$(PYTHON) demo/train.py --server $(BUILD)/server/lossd $(ARGS)

test: test-cpp test-python test-deploy  ## Run all tests, but those of `make test-ops`.

test-cpp: build
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j $(JOBS)

test-python: build
	@$(PYTHON) -m pytest tests/python

# What finds no program that it needs is skipped, and says so.
test-deploy: build
	@$(PYTHON) -m pytest tests/ops -m "not clusters" -rs

test-ops: build  ## Get balancers, schedulers and checkers into .ops, and test deploy/ with them: minutes.
	@scripts/ops_tools.sh
	@$(PYTHON) -m pytest tests/ops -rs --durations=5 --ignore=tests/ops/test_real_kubernetes.py

image:  ## Build the container image lossd with buildah, from source: minutes.
	@buildah bud --format docker --isolation=chroot --file docker/Dockerfile --ignorefile docker/Dockerfile.dockerignore \
	  --tag lossd:$$(sed -n 's/^project(lossd VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt) $(ARGS) .

bench: build  ## Run the benchmarks, or those in ARGS; each prints ratios against its reference.
	@scripts/bench.sh $(BUILD) $(ARGS)

# The sanitizer builds run the unit tests: LibTorch and gRPC are not instrumented, our code is.
asan tsan: setup  ## Build with sanitizers and run the unit tests.
	@cmake --preset $@ -Wno-dev >/dev/null
	@cmake --build --preset $@ --target unit_tests
	@ctest --test-dir build/$@ -L unit --output-on-failure --no-tests=error -j $(JOBS)

fuzz: setup  ## Feed parsers with made-up bytes, each for SECONDS (600): an hour.
	@scripts/fuzz.sh $(or $(SECONDS),600)

soak: build  ## Put a server under mixed load for SECONDS (600), overload, restarts; prints figures with their limits.
	@$(PYTHON) tests/python/soak.py --seconds $(or $(SECONDS),600)

flat-test: build  ## Compare the flat MALIS with the engine on many volumes: minutes.
	@scripts/flat_test.sh $(BUILD)

wheel: build  ## Build the wheel that brings SDK, server and lossctl: build/dist.
	@$(PYTHON) scripts/wheel.py $(BUILD) build/dist

tarball: build  ## Build an archive of server and lossctl that needs no Python: build/dist.
	@scripts/tarball.sh $(BUILD) build/dist

cuda: setup  ## Build with the CUDA toolkit; needs no GPU.
	@cmake --preset cuda -Wno-dev >/dev/null
	@cmake --build --preset cuda --target lossd lossctl gpu_bench cuda_tests
	@ctest --test-dir build/cuda -L cuda --output-on-failure --no-tests=error

gpu-test: cuda  ## Test what only a GPU can show, on one.
	@LOSSD_TEST_SEGMENTATION=$$(scripts/segmentation.sh build/cuda) scripts/gpu_test.sh build/cuda

gpu-bench: cuda  ## Measure MALIS, losses and whole requests on a GPU.
	@build/cuda/bench/gpu_bench $$(scripts/segmentation.sh build/cuda)

gpu-pack: cuda  ## Gather what a machine with a GPU and PyTorch needs to run these two: build/cuda/pack.tar.gz.
	@scripts/gpu_pack.sh build/cuda

lint: setup  ## Check formats, clang-tidy, buf, ruff and mypy.
	@scripts/lint.sh

tidy: setup  ## Run clang-tidy over every C++ source, its analyzer of paths included.
	@scripts/tidy.sh

format: setup  ## Format the sources in place.
	@.venv/bin/clang-format -i $(CPP_FILES)
	@.venv/bin/ruff format --quiet client/python tests/python tests/ops tests/fuzz demo bench scripts deploy/slurm/find_servers
	@.venv/bin/ruff check --quiet --fix client/python tests/python tests/ops tests/fuzz demo bench scripts deploy/slurm/find_servers
	@.venv/bin/buf format -w proto

clean:  ## Remove what was built; .venv stays.
	rm -rf build demo-output client/python/src/lossd/v1
