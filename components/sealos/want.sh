#!/usr/bin/env bash
# Writes down, on the first master, which machines the cluster shall have.
# $1: the script's private directory, with lib.sh and wanted.json.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

mkdir -p "$etc"
replace "$etc/wanted.json" cat -- "$dir/wanted.json"
