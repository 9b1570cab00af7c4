#!/usr/bin/env bash
# Line coverage of the workspace's tests with cargo-tarpaulin: a summary here, a page to read in target/coverage. Fails
# under 80 %. Tests, examples and what runs only on another processor are not counted.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-tarpaulin >/dev/null || cargo install cargo-tarpaulin --locked
cargo tarpaulin --workspace --engine llvm --skip-clean --target-dir target/tarpaulin --timeout 1200 \
    --exclude-files 'crates/*/tests/*' 'crates/*/examples/*' 'crates/engine/src/native/simd/neon.rs' \
    --out Html --out Stdout --output-dir target/coverage --fail-under 80
