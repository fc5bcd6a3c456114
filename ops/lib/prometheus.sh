#!/usr/bin/env bash
# Prints the folder that holds prometheus and promtool. It is, in this order, the one that
# $STEAD_PROMETHEUS names, the one in .tools of this folder, the one of those on PATH; where there
# is none, Debian's package is fetched and unpacked into .tools. It is not installed, and nothing
# is started.
#
#   folder=$(ops/lib/prometheus.sh)
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
readonly root
readonly ours=$root/.tools/prometheus
readonly way_out="Name a folder that holds both yourself: STEAD_PROMETHEUS=/path/to/folder"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $1"
    shift
    for line in "$@"; do say "  $line"; done
    exit 1
}

is_good() {
    "$1/prometheus" --version >/dev/null 2>&1 && "$1/promtool" --version >/dev/null 2>&1
}

fetch() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
        die "there is no prometheus here, and no apt-get to fetch it" "$way_out"
    mkdir -p "$root/.tools" || die "cannot write to $root/.tools" "$way_out"
    # In the same file system as where it goes, so that it appears there whole or not at all.
    work=$(mktemp -d "$root/.tools/fetch.XXXXXX") || die "cannot write to $root/.tools" "$way_out"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    say "fetching Debian's package of Prometheus into $root/.tools (19 MB, once)"
    # The lists may be old, or missing; only root may renew them.
    [[ $(id -u) != 0 ]] || apt-get update -qq >&2 || true
    (cd "$work" && apt-get download -qq prometheus >&2) ||
        die "apt-get could not download prometheus" "On Debian and Ubuntu: apt-get update" "$way_out"
    dpkg --fsys-tarfile "$work"/prometheus_*.deb |
        tar -x -C "$work" ./usr/bin/prometheus ./usr/bin/promtool ||
        die "the package holds no prometheus and no promtool" "$way_out"
    is_good "$work/usr/bin" || die "the prometheus that was fetched does not run here" "$way_out"
    rm -rf "$ours"
    mv "$work/usr/bin" "$ours"
}

main() {
    local on_path
    if [[ -n ${STEAD_PROMETHEUS:-} ]]; then
        is_good "$STEAD_PROMETHEUS" ||
            die "STEAD_PROMETHEUS is '$STEAD_PROMETHEUS', which holds no prometheus and promtool that run"
        realpath -s -- "$STEAD_PROMETHEUS"
        return
    fi
    if is_good "$ours"; then
        echo "$ours"
        return
    fi
    on_path=$(command -v prometheus) || true
    if [[ -n $on_path ]] && is_good "$(dirname "$on_path")"; then
        dirname "$(realpath -s -- "$on_path")"
        return
    fi
    fetch
    echo "$ours"
}

main
