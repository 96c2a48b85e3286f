#!/usr/bin/env bash
# On the first master: takes one machine out of the cluster: cordon, drain, sealos clean, delete the Node, and for a master
# look at etcd's members before and after. One at a time, by the lock. A job.
# $1: the script's private directory, with lib.sh, sealos, login.yaml, key (perhaps), role, name, address, me (address:port), targets
#     (the same of this and all that is wanted), drain-arguments, lock-wait; gone when the machine does not answer, and then nothing that
#     is about sealos, and no drain-arguments; anew besides it when it does answer, and was set up anew.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

blocked=76
name=$(value name) me=$(value me) role=$(value role) address=$(value address)
lock
# another job may have joined it meanwhile
if [[ -n $waited && -e $dir/anew ]]; then exit "$busy"; fi
if [[ ! -e $admin ]]; then
    say "no cluster on this machine, so nothing to leave"
    exit 0
fi
kube get nodes -o name >"$dir/nodes" || die "the cluster's API server did not answer on this machine"

if [[ $role == master ]]; then # before anything is changed
    etcd_spares "$name" "$address"
fi

if grep -Fxq -- "node/$name" "$dir/nodes"; then
    was=$(kube get node "$name" -o 'jsonpath={.spec.unschedulable}')
    kube cordon "$name" >&2
    if [[ ! -e $dir/gone ]]; then
        say "draining $name …"
        mapfile -t arguments <"$dir/drain-arguments"
        # without kube's own limit: a drain waits for pods, which has a limit of its own
        /usr/bin/kubectl --kubeconfig "$admin" drain "$name" "${arguments[@]}" >"$dir/drain" 2>&1 || {
            # not left half-way: the settings may be put back as they were, and nothing would uncordon it then
            if [[ $was != true ]]; then kube uncordon "$name" >&2; fi
            tail -n 3 "$dir/drain"
            exit "$blocked"
        }
    fi
fi
if [[ ! -e $dir/gone ]]; then true_ports; fi
if [[ -e $dir/gone ]]; then
    # sealos would try to reach it for minutes, only to drop it from its config in the end; lvscare on the nodes drops a dead
    # master by itself
    if [[ -e $config ]]; then
        # Of the names in the API server's certificate, which have no port, it stays one: kubeadm asks each further master's for all of them.
        # shellcheck disable=SC2016 # $0 is awk's
        replace "$config" awk -v me="$address" \
            '{ line = $0; sub(/^ *- */, "", line); gsub(/["\047]/, "", line) } !sub(/:[0-9]+$/, "", line) || line != me' "$config"
    fi
elif listed "$me"; then
    say "sealos clean --$role $me …"
    run_sealos clean "--$role" "$me" --force || say "sealos clean exited with $?"
fi
kube delete node "$name" --ignore-not-found >&2
if [[ $role == master ]]; then
    # a reset that could not reach etcd, and a dead machine, leave their member: with every one of them a failure less is survived
    etcd_forget "$name" "$address"
fi
rm -f -- "/run/sealos-istio-joins/$address:"*
