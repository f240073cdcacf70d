#!/bin/sh
# Installs tailwatch @VERSION@ for this system: downloads its archive, compares the SHA-256 digest with the one below, and
# copies the program, the manual page and the shell completions to PREFIX/bin and PREFIX/share.
#   sh install.sh [--prefix PREFIX]     PREFIX is /usr/local for root, else ~/.local
set -eu

version=@VERSION@
url=@URL@
# Digest and name of each archive of this release.
archives='@ARCHIVES@'

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

prefix=$HOME/.local
[ "$(id -u)" != 0 ] || prefix=/usr/local
case "${1:-}" in
  --prefix)
    [ $# = 2 ] && [ -n "$2" ] || fail "--prefix needs one folder" "sh install.sh --prefix /opt/tailwatch"
    prefix=$2
    ;;
  '') ;;
  *) fail "unknown argument $1" "sh install.sh [--prefix PREFIX]" ;;
esac

case "$(uname -m)" in
  x86_64 | amd64) processor=x86_64 ;;
  aarch64 | arm64) processor=aarch64 ;;
  *) processor=$(uname -m) ;;
esac
case "$(uname -s)" in
  Linux) target=$processor-unknown-linux-musl ;;
  Darwin) target=$processor-apple-darwin ;;
  *) target=$processor-$(uname -s) ;;
esac
name=tailwatch-$version-$target
expected=$(printf '%s\n' "$archives" | awk -v name="$name.tar.gz" '$2 == name { print $1 }')
[ -n "$expected" ] || fail "this release has no archive for $target" \
  "it has: $(printf '%s\n' "$archives" | awk -v start="tailwatch-$version-" '{ sub(start, "", $2); sub(/\.tar\.gz$/, "", $2); printf "%s%s", comma, $2; comma = ", " }'); or build it from source: cargo install --path ."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM HUP

archive=$folder/$name.tar.gz
echo "downloads $url/$name.tar.gz" >&2
if command -v curl >/dev/null 2>&1; then
  # No redirect leads to a scheme with less protection.
  curl --proto "=${url%%:*}" --fail --silent --show-error --location --retry 3 --output "$archive" "$url/$name.tar.gz"
elif command -v wget >/dev/null 2>&1; then
  wget -q -O "$archive" "$url/$name.tar.gz"
else
  fail "neither curl nor wget is installed" "install curl, then run this again"
fi || fail "$url/$name.tar.gz could not be downloaded" "read the message above; check the connection and the proxy (HTTPS_PROXY), then run this again"

if command -v sha256sum >/dev/null 2>&1; then
  found=$(sha256sum "$archive")
elif command -v shasum >/dev/null 2>&1; then
  found=$(shasum -a 256 "$archive")
else
  fail "neither sha256sum nor shasum is installed, so the archive cannot be verified" "install coreutils, then run this again"
fi
found=${found%% *}
[ "$found" = "$expected" ] || fail "the archive's SHA-256 digest is $found, expected $expected; nothing was installed" \
  "something between you and $url changed it, a proxy or a mirror: download it another way, or report it"

tar -xzf "$archive" -C "$folder"
# A rename: a running program keeps its file, and an interruption leaves the old one.
copy() {
  (cd "$folder/$name" && find bin share -type f) | while read -r file; do
    mkdir -p "$(dirname "$prefix/$file")" && cp -p "$folder/$name/$file" "$prefix/$file.new" &&
      mv -f "$prefix/$file.new" "$prefix/$file" || exit 1
  done
}
copy || fail "the files could not be written below $prefix" "choose a folder of yours: sh install.sh --prefix ~/.local"

echo "installed $("$prefix/bin/tailwatch" --version) as $prefix/bin/tailwatch" >&2
case ":$PATH:" in
  *":$prefix/bin:"*) ;;
  *) echo "add it to your PATH: export PATH=\"$prefix/bin:\$PATH\"" >&2 ;;
esac
