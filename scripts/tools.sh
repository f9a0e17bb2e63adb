# Sourced by the other scripts: which tools the project uses, and where they are.
#
# What takes minutes to install is kept outside the clone, one folder for each version, so that
# clones share it. A folder that has its final name is whole.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TOOLS=${MATRIX_MEDIA_EDGE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/matrix-media-edge}

# The version of a crate in Cargo.lock. The wasm-bindgen CLI must be exactly the crate's.
locked_version() {
  sed -n "/^name = \"$1\"\$/{n;s/^version = \"\(.*\)\"/\1/p;}" "$ROOT/Cargo.lock"
}

WORKER_BUILD_VERSION=$(locked_version worker)
WASM_BINDGEN_VERSION=$(locked_version wasm-bindgen)
SYNAPSE_VERSION=$(sed -n 's/^VERSION = "\(.*\)"/\1/p' "$ROOT/scripts/synapse")
MAUTRIX_REQUIREMENTS=$ROOT/tests/clients/mautrix/requirements.txt
MAUTRIX_VERSION=$(sed -n 's/^mautrix==//p' "$MAUTRIX_REQUIREMENTS")

CARGO_DENY_VERSION=0.20.2

CARGO_MUTANTS_VERSION=27.1.0

WORKER_BUILD=$TOOLS/worker-build-$WORKER_BUILD_VERSION
WASM_BINDGEN=$TOOLS/wasm-bindgen-$WASM_BINDGEN_VERSION
SYNAPSE=$TOOLS/synapse-$SYNAPSE_VERSION
CARGO_DENY=$TOOLS/cargo-deny-$CARGO_DENY_VERSION
MAUTRIX=$TOOLS/mautrix-$MAUTRIX_VERSION
CARGO_MUTANTS=$TOOLS/cargo-mutants-$CARGO_MUTANTS_VERSION

# Any of these will do for the tests in a browser (see tests/browser/seek.mjs).
BROWSERS="chromium chromium-browser google-chrome"

# Debian's: some tests put it between the edge and Synapse (see tests/support/nginx.rs), and the bench
# compares with it.
NGINX=/usr/sbin/nginx

# The oldest Node.js that package.json admits: wrangler's.
NODE_NEEDED=$(sed -n 's/^ *"node": ">=\([0-9.]*\)",\{0,1\}$/\1/p' "$ROOT/package.json")

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() { say "$@"; exit 1; }

# Whether `node` in PATH is new enough.
has_node() {
  local version major minor
  version=$(node --version 2>/dev/null) || return
  IFS=. read -r major minor _ <<<"${version#v}"
  ((major > ${NODE_NEEDED%.*} || major == ${NODE_NEEDED%.*} && minor >= ${NODE_NEEDED#*.}))
}

# Makes this shell's node one that is new enough: the system's, or else the one that the npm
# packages bring for Linux.
use_node() {
  local folder
  has_node && return
  for folder in "$ROOT"/node_modules/node-linux-*/bin; do
    [ ! -x "$folder/node" ] || export PATH=$folder:$PATH
  done
  has_node || fail "Node.js $NODE_NEEDED or newer is missing: run scripts/setup, or see https://nodejs.org"
}

# Two ways to compile for wasm32. rustup's target is the usual one; where it can't be had, Debian's
# Rust builds the standard library from its source. WASM_TOOLCHAIN=rustup or =debian insists on one.
WASM_TARGET=wasm32-unknown-unknown
DEBIAN_PACKAGES="rustc-web cargo-web rust-web-clippy rust-web-src lld-22"
DEBIAN_RUST=$TOOLS/debian-rust
case ${WASM_TOOLCHAIN:-} in
  '' | rustup | debian) ;;
  *) fail "WASM_TOOLCHAIN is '$WASM_TOOLCHAIN': it may be rustup or debian" ;;
esac

has_rustup_target() {
  local lib
  lib=$(rustc --target $WASM_TARGET --print target-libdir 2>/dev/null) &&
    compgen -G "$lib/libcore-*.rlib" >/dev/null
}

has_debian_target() { [ -e "$DEBIAN_RUST/bin/rustc" ] && command -v wasm-ld-22 >/dev/null; }

wasm_toolchain() {
  case ${WASM_TOOLCHAIN:-} in
    rustup) has_rustup_target && echo rustup ;;
    debian) has_debian_target && echo debian ;;
    '') if has_rustup_target; then echo rustup; elif has_debian_target; then echo debian; fi ;;
  esac
}

# Makes this shell's cargo one that compiles for wasm32.
use_wasm_toolchain() {
  case $(wasm_toolchain) in
    rustup) ;;
    debian)
      export PATH=$DEBIAN_RUST/bin:$PATH
      export RUSTC_BOOTSTRAP=1 # lets a stable cargo build the standard library
      export CARGO_UNSTABLE_BUILD_STD=std,panic_abort
      export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22
      export CARGO_TARGET_DIR=$ROOT/target/debian # another compiler's output must not mix with rustup's
      ;;
    *) fail "no Rust here compiles for wasm32: run scripts/setup" ;;
  esac
}
