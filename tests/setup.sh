#!/bin/sh
# Checks the programs that targets of the Makefile need: `tests/setup.sh demo|check|test|deny|costs|engines|registries`.
#
# Prints all missing programs together. On Debian and Ubuntu it also installs them, as root or with `sudo -n`; with INSTALL=no
# it only prints them. The Makefile puts Go, Node and the programs built with them into target/tools.
set -eu

# Each line: a target, a program or file, and its Debian package. A name with a slash is a file.
needs() {
  cat <<END
any cc gcc
any $(libc_header) libc6-dev
any make make
deny python3 python3
deny python3:venv python3-venv
test python3 python3
test python3:venv python3-venv
test git git
test promtool prometheus
test prometheus prometheus
test bash bash
test zsh zsh
test fish fish
test man man-db
test script bsdutils
test musl-gcc musl-tools
test tinyproxy tinyproxy-bin
test microsocks microsocks
test docker-registry docker-registry
test htpasswd apache2-utils
test openssl openssl
test curl curl
test unshare util-linux
test /etc/ssl/certs/ca-certificates.crt ca-certificates
costs valgrind valgrind
engines python3 python3
engines python3:venv python3-venv
engines chromium chromium
registries containerd containerd
registries htpasswd apache2-utils
registries unshare util-linux
END
}

# A header of the C library; on Debian it is in /usr/include.
libc_header() {
  if [ -e /usr/include/stdio.h ] || ! [ -e /etc/debian_version ]; then echo /; else echo /usr/include/stdio.h; fi
}

is_there() {
  case "$1" in
  /*) [ -e "$1" ] ;;
  python3:venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
  chromium) [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null ;;
  *) command -v "$1" >/dev/null ;;
  esac
}

# Prints the missing programs and their packages.
missing() {
  needs | while read -r target thing package; do
    case " $targets " in
    *" $target "*) is_there "$thing" || echo "$thing $package" ;;
    esac
  done
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  [ "${INSTALL:-yes}" != no ] && command -v apt-get >/dev/null || return 1
  [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# Debian starts services when they are installed. The tests need only the programs, not a Prometheus on port 9090.
install_packages() {
  policy=/usr/sbin/policy-rc.d mine=no status=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    mine=yes
  fi
  as_root apt-get update -q || status=$?
  [ "$status" -ne 0 ] ||
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" </dev/null || status=$?
  [ "$mine" = no ] || as_root rm -f "$policy"
  return "$status"
}

targets="any $*"

rust=there
if ! command -v cargo >/dev/null; then
  echo "missing: Rust; install it from https://rustup.rs" >&2
  rust=missing
else
  case "$targets" in
  *check* | *test*)
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || {
      echo "missing: rustfmt or clippy; rustup component add rustfmt clippy" >&2
      rust=missing
    }
    ;;
  esac
fi

found=$(missing)
if [ -n "$found" ]; then
  packages=$(echo "$found" | cut -d ' ' -f 2 | sort -u | tr '\n' ' ')
  echo "missing for $*: $(echo "$found" | cut -d ' ' -f 1 | tr '\n' ' ')" >&2
  if may_install; then
    echo "installing: $packages" >&2
    # shellcheck disable=SC2086 # package names contain no spaces
    install_packages $packages >&2
    found=$(missing)
    [ -z "$found" ] || {
      echo "still missing: $(echo "$found" | cut -d ' ' -f 1 | tr '\n' ' ')" >&2
      exit 1
    }
  else
    echo "On Debian and Ubuntu: apt-get install $packages" >&2
    echo "Their services need not run." >&2
    exit 1
  fi
fi

[ "$rust" = there ] || exit 1

# The image's binary is static. If Rust's library for musl cannot be installed, the Makefile uses glibc and prints that.
case "$targets" in
*test*)
  musl="$(uname -m)-unknown-linux-musl"
  [ -d "$(rustc --print target-libdir --target "$musl")" ] || ! command -v rustup >/dev/null ||
    timeout 300 rustup target add "$musl" >&2 || true
  ;;
esac
