# Sourced after say.sh: installs the toolchains that a script needs.

# apt_install PACKAGE…: only as root, without a prompt.
apt_install() {
  command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || return 0
  say "installing $* by apt-get"
  apt-get install -y -qq "$@" >&2 || { apt-get update -qq >&2 && apt-get install -y -qq "$@" >&2; } || true
}

# Rust by rustup; the pinned toolchain comes with the first cargo call.
ensure_rust() {
  command -v cc >/dev/null 2>&1 || apt_install gcc libc6-dev
  command -v cc >/dev/null 2>&1 ||
    fail "a C compiler is needed to build tailwatch, but cc is not installed" "install gcc or clang, then run this again"
  if ! command -v cargo >/dev/null 2>&1 && [ -f "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi
  command -v cargo >/dev/null 2>&1 && return 0
  command -v curl >/dev/null 2>&1 || apt_install curl ca-certificates
  command -v curl >/dev/null 2>&1 ||
    fail "Rust is not installed and curl, which would fetch rustup, is missing" "install rustup from https://rustup.rs, then run this again"
  say "installing Rust by rustup"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --no-modify-path >&2 ||
    fail "rustup could not install Rust" "install it from https://rustup.rs, then run this again"
  . "$HOME/.cargo/env"
}

# Go 1.21 or later, which downloads the version of go.mod automatically.
ensure_go() {
  if ! command -v go >/dev/null 2>&1 && [ -x /usr/local/go/bin/go ]; then PATH="$PATH:/usr/local/go/bin"; fi
  command -v go >/dev/null 2>&1 || apt_install golang-go
  command -v go >/dev/null 2>&1 ||
    fail "the sandbox is built from Go modules, and go is not installed" "install Go 1.26 or later from https://go.dev/dl/, then run this again"
  local version
  version=$(go env GOVERSION)
  case "$version" in
    go1.2[1-9]* | go1.[3-9][0-9]* | go[2-9]*) export GOTOOLCHAIN=${GOTOOLCHAIN:-auto} ;;
    *) fail "go is $version, the sandbox needs 1.21 or later" "install Go 1.26 or later from https://go.dev/dl/, then run this again" ;;
  esac
}

# Chromium or Chrome, found by name.
ensure_chromium() {
  has_chromium || apt_install chromium
  has_chromium ||
    fail "a headless Chromium is needed, but neither chromium nor google-chrome is installed" "install Debian's package chromium, or Chrome, then run this again"
}

has_chromium() {
  local program
  for program in chromium chromium-browser google-chrome google-chrome-stable headless_shell; do
    if command -v "$program" >/dev/null 2>&1; then return 0; fi
  done
  return 1
}
