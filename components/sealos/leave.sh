#!/usr/bin/env bash
# On the first master: takes one machine out of the cluster: cordon, drain, sealos clean, delete the Node, and for a master
# look at etcd's members before and after. One at a time, by the lock. A job.
# $1: the script's private directory, with lib.sh, sealos, login.yaml, key (perhaps), role, name, me (address:port),
#     gone (when the machine does not answer; then there need be no sealos, login.yaml, me and drain-arguments), address, lock-wait.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

blocked=76
name=$(value name) me=$(value me) role=$(value role) address=$(value address)
lock
if [[ ! -e $admin ]]; then
    say "no cluster on this machine, so nothing to leave"
    exit 0
fi
kube get nodes -o name >"$dir/nodes" || die "the cluster's API server did not answer on this machine"

# etcd_call VERB BODY: its JSON gateway on this machine (/v3 since etcd 3.4, /v3beta up to 3.4), by the API server's own certificate.
etcd_call() {
    local version pki=/etc/kubernetes/pki
    for version in v3 v3beta; do
        if curl -sSf --max-time 20 --cacert "$pki/etcd/ca.crt" --cert "$pki/apiserver-etcd-client.crt" \
            --key "$pki/apiserver-etcd-client.key" --data "$2" "https://127.0.0.1:2379/$version/cluster/member/$1" 2>"$dir/why"; then
            return 0
        fi
    done
    return 1
}

# "ID address" of each of etcd's members.
etcd_members() {
    # the newline, because `read` drops a last line without one
    { etcd_call list '{}' && echo; } | tr '{' '\n' | sed -nE 's|.*"ID": *"([0-9]+)".*"peerURLs": *\["https?://([0-9.]+):2380".*|\1 \2|p'
}

etcd_healthy() {
    local pki=/etc/kubernetes/pki
    curl -sSf --max-time 5 --cacert "$pki/etcd/ca.crt" --cert "$pki/apiserver-etcd-client.crt" \
        --key "$pki/apiserver-etcd-client.key" "https://$1:2379/health" 2>/dev/null | grep -Eq '"health": *"true"'
}

if [[ $role == master ]]; then # before anything is changed
    command -v curl >/dev/null || die "curl is missing on this machine, which etcd's members are asked with; install it"
    etcd_members >"$dir/members" || die "etcd on this machine did not tell its members: $(tail -n 1 "$dir/why")"
    others=0 healthy=0 own=0
    while read -r _ other; do
        if [[ $other == "$address" ]]; then
            own=1
        else
            others=$((others + 1))
            if etcd_healthy "$other"; then healthy=$((healthy + 1)); fi
        fi
    done <"$dir/members"
    ((others > 0)) || die "$name is the only master that etcd knows; it goes with the whole cluster only"
    if ((own && healthy < others / 2 + 1)); then
        die "only $healthy of the $others other etcd members are healthy: without $name etcd would have no quorum. Bring the others back first"
    fi
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
            tail -n 3 "$dir/drain" >&2
            exit "$blocked"
        }
    fi
fi
if [[ -e $dir/gone ]]; then
    # sealos would try to reach it for minutes, only to drop it from its config in the end; lvscare on the nodes drops a dead
    # master by itself
    if [[ -e $config ]]; then
        # shellcheck disable=SC2016 # $0 is awk's
        replace "$config" awk -v me="$address" \
            '{ line = $0; sub(/^ *- */, "", line); gsub(/["\047]/, "", line); sub(/:[0-9]+$/, "", line) } line != me' "$config"
    fi
elif listed "$me"; then
    say "sealos clean --$role $me …"
    run_sealos clean "--$role" "$me" --force || say "sealos clean exited with $?"
fi
kube delete node "$name" --ignore-not-found >&2
if [[ $role == master ]]; then
    # a reset that could not reach etcd, and a dead machine, leave their member: with every one of them a failure less is survived
    etcd_members >"$dir/members" || die "etcd on this machine did not tell its members: $(tail -n 1 "$dir/why")"
    while read -r id other; do
        if [[ $other == "$address" ]]; then
            say "taking $name out of etcd …"
            etcd_call remove "{\"ID\":\"$id\"}" >/dev/null || die "etcd member $id of $name could not be removed: $(tail -n 1 "$dir/why")"
        fi
    done <"$dir/members"
fi
rm -f -- "/run/sealos-istio-joins/$address:"*
