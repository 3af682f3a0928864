#!/usr/bin/env bash
# Run the unit tests on each supported Python that this machine has, or that Debian sid has.
#
# Pythons are searched on PATH and among those of pyenv. CPython 3.14 and 3.15 are packages of Debian
# sid; root can unpack them into a root directory (debootstrap), in which the tests run. PYTHONS="3.12
# 3.14" selects versions. The launcher and the probe are run on 3.6 and newer by the tests themselves
# (tests/kernels/test_old_pythons.py).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

versions=${PYTHONS:-3.10 3.11 3.12 3.13 3.14 3.15}
cache=${SPACK_KERNEL_TEST_CACHE:-/var/tmp/spack-kernel-tests-$(id -u)}
sid=$cache/debian-sid
tests=(-m unit tests/spack tests/kernels tests/cli tests/jupyter/kernelspecs tests/test_readers_fuzz.py)
old=(tests/kernels/test_old_pythons.py)

find_python() {
    local candidate
    for candidate in "$(command -v "python$1" || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if [ -x "$candidate" ] && "$candidate" -c 'import ensurepip' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# Set up the root directory once. Its Pythons see this checkout and the network.
make_sid() {
    [ "$(id -u)" -eq 0 ] || return 1
    command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap >/dev/null || return 1
    if [ ! -e "$sid/usr/bin/python3.14" ]; then
        rm -rf "$sid"
        mkdir -p "$sid"
        debootstrap --variant=minbase \
            --include=python3.14,python3.14-venv,python3.14-dev,python3.15,python3.15-venv,python3.15-dev,ca-certificates,gcc,libc6-dev \
            sid "$sid" >"$cache/debootstrap.log" 2>&1 || { tail -5 "$cache/debootstrap.log"; return 1; }
    fi
    cp /etc/resolv.conf "$sid/etc/resolv.conf"
    for file in /etc/pip.conf ${PIP_CERT:-} ${SSL_CERT_FILE:-}; do
        [ -e "$file" ] && install -D -m 644 "$file" "$sid$file"
    done
    mkdir -p "$sid/checkout"
}

run_in_sid() {
    unshare --mount bash -euc '
        mount --bind "$1" "$2/checkout"
        mount --rbind /dev "$2/dev"
        mount -t proc proc "$2/proc"
        shift 2
        exec "$@"
    ' bash "$PWD" "$sid" chroot "$sid" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin \
        ${PIP_CERT:+PIP_CERT=$PIP_CERT} ${PIP_INDEX_URL:+PIP_INDEX_URL=$PIP_INDEX_URL} \
        bash -euc "cd /checkout; $1"
}

failed=() missing=()
for version in $versions; do
    echo "== Python $version"
    python=$(find_python "$version")
    if [ -n "$python" ]; then
        venv=.venv/python$version
        [ -e "$venv/ready" ] || {
            "$python" -m venv "$venv"
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[test-core]'
            touch "$venv/ready"
        }
        "$venv/bin/python" -m pytest -q "${tests[@]}" || failed+=("$version")
    elif case $version in 3.14 | 3.15) make_sid ;; *) false ;; esac; then
        words=$(printf '%q ' "${tests[@]}")
        olds=$(printf '%q ' "${old[@]}")
        run_in_sid "
            [ -e /venv$version/ready ] || {
                python$version -m venv /venv$version
                /venv$version/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test-core]'
                touch /venv$version/ready
            }
            export PYTHONDONTWRITEBYTECODE=1
            /venv$version/bin/python -m pytest -q -p no:cacheprovider $words
            /venv$version/bin/python -m pytest -q -p no:cacheprovider $olds
        " || failed+=("$version")
    else
        missing+=("$version")
    fi
done
[ "${#missing[@]}" -eq 0 ] || echo "not on this machine: ${missing[*]}"
[ "${#failed[@]}" -eq 0 ] || { echo "failed on: ${failed[*]}"; exit 1; }
