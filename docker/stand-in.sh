#!/usr/bin/env bash
# Makes the image $1 of a bare Debian and its Python: a stand-in for Docker Hub's python image where
# no registry of images is reached. It is no part of what is delivered.
set -euo pipefail

packages=python3,python3-venv,ca-certificates  # of Debian 12: Python 3.11
root=$(mktemp --directory)
trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
debootstrap --variant=minbase --include="$packages" bookworm "$root" >"$root.log" ||
    { tail -n 20 "$root.log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
container=$(buildah from scratch)
buildah copy --quiet "$container" "$root" / >/dev/null
buildah commit --quiet --rm "$container" "$1"
