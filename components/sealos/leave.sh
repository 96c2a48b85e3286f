#!/usr/bin/env bash
# On the first master: takes one machine out of the cluster: cordon, drain, sealos clean, delete the Node. A job.
# $1: the script's private directory, with lib.sh, sealos, login.yaml, key (perhaps), role, name, me (address:port),
#     gone (when the machine does not answer), drain-arguments, lock-wait.
set -euo pipefail
dir=$1
# shellcheck source=lib.sh
. "$dir/lib.sh"

name=$(value name) me=$(value me) role=$(value role)
lock
if [[ ! -e $admin ]]; then
    say "no cluster on this machine, so nothing to leave"
    exit 0
fi
kube get nodes -o name >"$dir/nodes" || die "the cluster's API server did not answer on this machine"

if grep -Fxq -- "node/$name" "$dir/nodes"; then
    kube cordon "$name" >&2
    if [[ ! -e $dir/gone ]]; then
        say "draining $name …"
        mapfile -t arguments <"$dir/drain-arguments"
        # without kube's own limit: a drain waits for pods, which has a limit of its own
        /usr/bin/kubectl --kubeconfig "$admin" drain "$name" "${arguments[@]}" >"$dir/drain" 2>&1 || {
            grep -Ev '^(WARNING|pod/.* evicted|evicting pod)' "$dir/drain" | tail -n 12 || true
            die "$name could not be drained; it is cordoned and still a member. Look at the pods and their PodDisruptionBudgets"
        }
    fi
fi
if listed "$me"; then
    say "sealos clean --$role $me …"
    run_sealos clean "--$role" "$me" --force || say "sealos clean exited with $?"
fi
kube delete node "$name" --ignore-not-found >&2
rm -f -- "/run/sealos-istio-joins/$me"
