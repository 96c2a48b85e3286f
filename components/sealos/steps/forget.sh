#!/usr/bin/env bash
# On the first master: drops the notes about a machine that was seen clean, or that is given up.
# $1: the script's private directory, with lib.sh and name.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

name=$(value name)
rm -f -- "$etc/machines/${name##*/}" "$etc/recorded/${name##*/}"
