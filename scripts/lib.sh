# Shared by the scripts beside it: places, versions, messages. Sourced, never run.
# shellcheck shell=bash

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Built and fetched tools live outside the clone, in folders named by version; removing the cache costs time only.
CACHE=${FIRN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/firn}
WORKERS="ingest serve lake"
LLVM=19
RUST_WEB=1.96

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# have TOOL WHAT: the tool is there, or one line says what it is needed for.
have() { command -v "$1" >/dev/null 2>&1 || die "$1 is missing; it is needed $2"; }

# step MESSAGE COMMAND…: runs a command quietly; its output is shown only where it fails. On a terminal a running clock
# shows that it is alive.
step() {
  local message=$1 log pid start=$SECONDS
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/firn-step.XXXXXX")
  printf '%s … ' "$message" >&2
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  if [ -t 2 ]; then
    while kill -0 "$pid" 2>/dev/null; do
      printf '\r%s … %ds ' "$message" $((SECONDS - start)) >&2
      sleep 1
    done
  fi
  if wait "$pid"; then
    printf '%s%s … %ds\n' "$([ -t 2 ] && printf '\r')" "$([ -t 2 ] && printf '%s' "$message" || printf 'done')" $((SECONDS - start)) >&2
    rm -f "$log"
  else
    printf 'failed\n' >&2
    tail -n "${STEP_TAIL:-40}" "$log" >&2
    die "$message failed (whole output: $log)"
  fi
}

# debian_packages DIR NAME…: downloads packages and what they depend on and the system lacks, and unpacks all to DIR.
# apt runs on lists and archives of its own below the cache: it needs no root and changes nothing of the system.
debian_packages() {
  local dir=$1 apt=$CACHE/apt package
  shift
  rm -rf "$dir.new" "$apt/archives"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$dir.new"
  local options=(-o "Dir::State=$apt" -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=/var/lib/dpkg/status"
    -o "Dir::Cache=$apt" -o "Dir::Cache::archives=$apt/archives" -o "APT::Sandbox::User=$(id -un)" -o Debug::NoLocking=1)
  apt-get "${options[@]}" update
  apt-get "${options[@]}" install --yes --download-only --no-install-recommends "$@"
  for package in "$apt/archives"/*.deb; do dpkg -x "$package" "$dir.new"; done
  rm -rf "$dir" "$apt/archives"
  mv "$dir.new" "$dir"
}

# wrapper FILE DIR PROGRAM: a script that runs a program unpacked below DIR with the libraries unpacked there.
wrapper() {
  printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s/usr/lib/x86_64-linux-gnu:%s/usr/lib/aarch64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\nexec "%s" "$@"\n' \
    "$2" "$2" "$3" >"$1"
  chmod +x "$1"
}

# digest FILE…: one word that changes when any of the files does.
digest() { cat "$@" | sha256sum | cut -c1-16; }

# The Node that runs wrangler's packages: the system's where it is new enough, else the one that npm brought.
node_bin() {
  local minor major
  IFS=. read -r major minor _ < <(node -p process.versions.node 2>/dev/null || echo 0.0)
  if [ "$major" -gt 22 ] || { [ "$major" -eq 22 ] && [ "$minor" -ge 12 ]; }; then
    command -v node
  else
    local bundled
    for bundled in "$ROOT"/node_modules/node-linux-*/bin/node; do
      [ -x "$bundled" ] && echo "$bundled" && return
    done
    die "Node 22.12 or newer is needed, and npm did not bring one; run scripts/setup again"
  fi
}

# wasm_env: prints the variables with which cargo compiles for wasm, as scripts/setup found or made them.
wasm_env() {
  [ -f "$CACHE/wasm.env" ] || die "run scripts/setup first"
  cat "$CACHE/wasm.env"
}

# python_env: prints the Python that has PyIceberg and DuckDB; made on first use, keyed by the requirements.
python_env() {
  local requirements=$ROOT/tests/interop/requirements.txt dir
  have python3 "to read the tables with PyIceberg and DuckDB"
  dir=$CACHE/venv-$(digest "$requirements" <(python3 -V))
  if [ ! -f "$dir/.complete" ]; then
    rm -rf "$dir"
    step "PyIceberg and DuckDB from PyPI, 150 MB (usually 30 s)" make_venv "$dir" "$requirements"
    touch "$dir/.complete"
  fi
  echo "$dir/bin/python"
}

# Debian's python3 has neither ensurepip nor pip until their packages are installed; pip's own wheel serves as well.
make_venv() {
  python3 -m venv "$1" || { python3 -m venv --without-pip "$1" && python3 -m pip --python "$1/bin/python" install pip; }
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
}
