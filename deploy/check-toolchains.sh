#!/usr/bin/env bash
# Says in words which toolchain is missing or too old, and how to get it.
set -u
missing=0

lacks() { # what, how to get it
  printf 'missing: %s\n   get it: %s\n' "$1" "$2" >&2
  missing=1
}

at_least() { # found version, wanted version
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

if ! command -v cargo >/dev/null; then
  lacks "Rust 1.95 (cargo)" "https://rustup.rs; rust-toolchain.toml then picks the right version"
fi
if ! command -v go >/dev/null; then
  lacks "Go 1.26 (go)" "https://go.dev/dl; the CUE evaluator is a Go library that is linked in"
else
  go_version=$(go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
  at_least "$go_version" 1.26 || lacks "Go 1.26 (found $go_version)" "https://go.dev/dl"
fi
if ! command -v cc >/dev/null && ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then
  lacks "a C compiler (cc)" "apt-get install gcc libc6-dev, or your system's development tools"
fi
case "$(uname -s)" in
  Linux | Darwin) ;;
  *) lacks "Linux or macOS (found $(uname -s))" "the daemon runs on Linux with glibc, the CLI also on macOS" ;;
esac
exit "$missing"
