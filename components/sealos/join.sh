#!/usr/bin/env bash
# On the first master: joins everything that is wanted and that the cluster lacks, in one sealos run (masters before, one
# by one). Every member asks for it at the same time; whoever gets the lock first does it for all.
# Prints sealos's last words about the asking machine when a join was tried. A job.
# $1: the script's private directory, with lib.sh, sealos, login.yaml, key (perhaps), wanted ("role name address:port"
#     lines), me (address:port), dirty (when the asking machine holds leftovers), lock-wait.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

tried=/run/sealos-istio-joins # one file per machine that a join was tried for, with sealos's last words
asked=$(date +%s.%N)
me=$(value me)
lock
mkdir -p "$tried"

# Tried while this one waited: once is enough, unless what stood in the way is now known to need cleaning first.
if [[ -e $tried/$me && $(stat -c %.Y "$tried/$me") > $asked && ! -e $dir/dirty ]]; then
    cat -- "$tried/$me"
    exit 0
fi

kube get nodes -o 'jsonpath={range .items[*]}{.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}' >"$dir/present" \
    || die "the cluster's API server did not answer on this machine"
[[ -e $config ]] || die "$config is missing: sealos can join nothing without it"

masters=() nodes=()
while read -r role _ target; do
    if grep -Fxq -- "${target%:*}" "$dir/present"; then
        continue
    fi
    case $role in
        master) masters+=("$target") ;;
        node) nodes+=("$target") ;;
    esac
done <"$dir/wanted"
if ((${#masters[@]} + ${#nodes[@]} == 0)); then
    exit 0
fi

# sealos refuses to join what its config lists already, a failed join included: clean that first
clean_first() {
    local role=$1 target
    shift
    for target in "$@"; do
        if listed "$target" || [[ $target == "$me" && -e $dir/dirty ]]; then
            say "cleaning ${target%:*}, which a join left half done …"
            run_sealos clean "--$role" "$target" --force || true
        fi
    done
}

clean_first master "${masters[@]}"
clean_first node "${nodes[@]}"
for target in "${masters[@]}"; do
    say "sealos join --master $target …"
    run_sealos join --master "$target" || say "sealos join of $target exited with $?"
done
if ((${#nodes[@]})); then
    arguments=()
    for target in "${nodes[@]}"; do
        arguments+=(--node "$target")
    done
    say "sealos join ${arguments[*]} …"
    run_sealos join "${arguments[@]}" || say "sealos join exited with $?"
fi
for target in "${masters[@]}" "${nodes[@]}"; do
    last_words "${target%:*}" >"$tried/$target"
done
if [[ -e $tried/$me ]]; then
    cat -- "$tried/$me"
fi
