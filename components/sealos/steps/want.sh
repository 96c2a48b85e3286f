#!/usr/bin/env bash
# Writes down, on the first master, which machines the cluster shall have; each of them once more in a file of its own, which stays
# until the machine was seen clean (forget.sh), so that a teardown reaches it however it left the list.
# $1: the script's private directory, with lib.sh, wanted.json, and machine.NAME (how it is reached, JSON in one line) of each.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

keep wanted.json
mkdir -p "$etc/machines"
for machine in "$dir"/machine.*; do
    if [[ -e $machine ]]; then replace "$etc/machines/${machine##*/machine.}" cat -- "$machine"; fi
done
