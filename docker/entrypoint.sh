#!/bin/sh
# Readies the database before `serve`; then the command takes this process's place, as number 1,
# which is the one that is told to stop.
set -eu
trap 'exit 143' TERM

if [ "${1:-}" = serve ]; then
    # Of several servers that start at once one does it, and the others wait.
    errata db upgrade
    key=$(errata keys create --if-none --scope admin --name admin)
    if [ -n "$key" ]; then
        printf 'An admin key was made. It is shown only now:\n  export ERRATA_API_KEY=%s\n' "$key"
    fi
fi
exec errata "$@"
