#!/usr/bin/env bash
# On the first master: joins the machines that it is given and that the cluster lacks: masters one by one, then nodes in batches of one
# sealos run each. Only machines that were just asked what they are stand in the list (components/sealos/joining.py), and no other is
# touched, whatever the API or sealos's own lists say.
# Prints sealos's last words about the asking machine when a join was tried. A job.
# $1: the script's private directory, with lib.sh, sealos, login.yaml, key (perhaps), machines ("role name address:port action" lines,
#     the action being join, or clean to have leftovers of a failed join cleaned before), me (address:port), targets (the same of all
#     that is wanted), batch (nodes), since (seconds since the asking driver began), lock-wait.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

tried=/run/sealos-istio-joins # one file per machine that a join was tried for, with sealos's last words
asked=$(awk -v now="$(date +%s.%N)" -v since="$(value since)" 'BEGIN { printf "%.6f", now - since }')
me=$(value me) batch=$(value batch)
lock
mkdir -p "$tried"

# Tried while this one waited: once is enough.
if [[ -e $tried/$me && $(stat -c %.Y "$tried/$me") > $asked ]]; then
    cat -- "$tried/$me"
    exit 0
fi
# What the machines said may be so no more.
if [[ -n $waited ]]; then exit "$busy"; fi

kube get nodes -o name >"$dir/present" || die "the cluster's API server did not answer on this machine"
[[ -e $config ]] || die "$config is missing: sealos can join nothing without it"
true_ports

# "left out" and why, in place of sealos's last words
leave_out() {
    say "${1%:*} is left out: $2"
    echo "left out: $2" >"$tried/$1"
}

# Takes away what keeps sealos, kubeadm or etcd from joining a machine: sealos refuses what its config lists already, a failed join
# included, and a join that failed late, or a machine that was set up anew, has left its member in etcd.
make_way() {
    local role=$1 name=$2 target=$3 action=$4 why
    if [[ $role == master ]] && ! why=$(etcd_spares "$name" "${target%:*}" 2>&1); then
        leave_out "$target" "$why"
        return 1
    fi
    if [[ $action == clean ]] || listed "$target"; then
        say "cleaning ${target%:*}, which a join left half done …"
        run_sealos clean "--$role" "$target" --force || true
    fi
    if [[ $role == master ]]; then etcd_forget "$name" "${target%:*}"; fi
}

sealos_join() {
    say "sealos join $* …"
    run_sealos join "$@" || {
        say "sealos join $* exited with $?"
        return 1
    }
}

own=" $(hostname -I 2>/dev/null || true) "
masters=() nodes=() all=()
while read -r role name target action; do
    if [[ $own == *" ${target%:*} "* ]]; then die "$name has an address of this machine, the first master, which is never joined or cleaned"; fi
    if grep -Fxq -- "node/$name" "$dir/present" || ! make_way "$role" "$name" "$target" "$action"; then
        continue
    fi
    case $role in
        master) masters+=("$target") ;;
        node) nodes+=("$target") ;;
    esac
done <"$dir/machines"
all=("${masters[@]}" "${nodes[@]}")
for target in "${masters[@]}"; do
    sealos_join --master "$target" || true
done
for ((at = 0; at < ${#nodes[@]}; at += batch)); do
    arguments=()
    for target in "${nodes[@]:at:batch}"; do
        arguments+=(--node "$target")
    done
    if ! sealos_join "${arguments[@]}" && ((${#arguments[@]} > 2)); then
        # sealos stops before it has begun when it can't log in to one of them; the others are not to wait for that one
        for target in "${nodes[@]:at:batch}"; do
            sealos_join --node "$target" || true
        done
    fi
done
for target in "${all[@]}"; do
    last_words "${target%:*}" >"$tried/$target"
done
if [[ -e $tried/$me ]]; then
    cat -- "$tried/$me"
fi
