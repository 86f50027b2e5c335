#!/usr/bin/env bash
# Generates the Python stubs (package lossd.v1) from proto/.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python client/python/generate.py
