#!/usr/bin/env bash
# What the scripts of this folder share; sent along with each and sourced. Expects $dir, the script's private directory.
# shellcheck disable=SC2034  # variables are for the scripts that source this

: "${dir:?}"
export HOME=/root LC_ALL=C
umask 077

etc=/etc/sealos-istio
config=/root/.sealos/config.yaml
admin=/etc/kubernetes/admin.conf
lock_file=/run/lock/sealos-istio.lock
log_dir=/var/log/sealos-istio
busy=75 # what a script exits with when it found another state than the one it was sent for

say() { echo "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# The value that the request gives for a key; empty when it gives none.
value() { if [[ -e $dir/$1 ]]; then cat -- "$dir/$1"; fi; }

kube() { /usr/bin/kubectl --kubeconfig "$admin" --request-timeout=20s "$@"; }

# One job at a time on this cluster: sealos has no lock of its own. Held until the script and the sealos it started end.
lock() {
    mkdir -p "${lock_file%/*}"
    exec 9>>"$lock_file"
    if ! flock -n 9; then
        say "waiting for another job on this cluster to end"
        flock -w "$(value lock-wait)" 9 || die "another job on this cluster did not end in time; see $log_dir on this machine"
    fi
}

# What an earlier or half-made cluster left on this machine, one path per line.
leftovers() {
    local path
    for path in /etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf \
        /etc/kubernetes/manifests /etc/kubernetes/pki /var/lib/etcd /var/lib/kubelet/config.yaml /var/lib/kubelet/pki \
        /etc/cni/net.d /root/.kube/config /root/.sealos/pki; do
        if [[ -f $path || (-d $path && -n $(ls -A -- "$path")) ]]; then
            echo "$path"
        fi
    done
    # after `clean --all` sealos writes its config again, without hosts; that one is no cluster
    if [[ -f $config ]] && grep -Eq '^ *- ' "$config"; then
        echo "$config"
    fi
}

# Text without colours, bootstrap tokens, CA hashes and certificate keys, which sealos prints in plain.
plain() {
    sed -E 's/\x1b\[[0-9;]*[A-Za-z]//g; s/\b[a-z0-9]{6}\.[a-z0-9]{16}\b/<token>/g; s/\b[0-9a-f]{64}\b/<hash or key>/g'
}

# Where the request's sealos is. A master that took the first one's place has the copy that sealos itself left, which
# run_sealos runs there, too.
sealos_program() {
    local program
    program=$(value sealos)
    if [[ -n $program && ! -e $program && -e $etc/cluster.json ]]; then program=/usr/bin/sealos; fi
    printf '%s' "$program"
}

# What that sealos says about its version, in one line; fails when it can't be run.
sealos_version() {
    local program
    program=$(sealos_program)
    [[ -n $program && -x $program && -f $program ]] || return 1
    # a home of its own, because sealos writes a log wherever it runs
    mkdir -p "$dir/home"
    HOME=$dir/home timeout 20 "$program" version 2>&1 </dev/null | plain | tr '\n' ' ' || true
}

# Which Kubernetes the offline package $1 holds, as facts: its Metadata, else the word of its kubeadm (the packages of
# Kubernetes 1.16's days have no Metadata), else why it has neither. Nothing when it can't be read in time.
package_facts() {
    local place=$dir/unpacked status=0
    mkdir -p "$place"
    # reading ends with the second of them; one that is not there costs the whole archive
    timeout 60 tar -xzf "$1" -C "$place" --no-same-owner --occurrence=1 --wildcards '*kube/Metadata' '*kube/bin/kubeadm' 2>"$dir/why" || status=$?
    if [[ -s $place/kube/Metadata ]]; then
        echo "package_metadata $(base64 -w0 <"$place/kube/Metadata")"
    elif [[ -s $place/kube/bin/kubeadm ]]; then
        echo "package_kubeadm $(timeout 20 "$place/kube/bin/kubeadm" version -o short 2>/dev/null </dev/null | head -n 1 || true)"
    elif ((status != 124)); then
        echo "package_why $(grep -v -e '^$' -e 'Not found in archive' -e 'Exiting with failure' "$dir/why" | head -n 1)"
    fi
    rm -rf -- "$place"
}

# sealos's config without the keys named in $1 (top level, with what is indented below them).
without_keys() {
    awk -v keys="$1" '
        BEGIN { count = split(keys, names, " "); for (i = 1; i <= count; i++) drop[names[i] ":"] = 1 }
        /^[A-Za-z]/ { skip = ($1 in drop) }
        !skip'
}

# Whether sealos's config lists the host $1 (address:port) as a master or node.
listed() {
    [[ -e $config ]] && sed -E "s/^ *- *//; s/[\"']//g" "$config" | grep -Fxq -- "$1"
}

# Files with keys are the owner's alone. kubeadm writes its own so; those that sealos copies to a master come out 0644.
close_files() {
    local dir
    for dir in /etc/kubernetes /root/.sealos; do
        if [[ -d $dir ]]; then
            find "$dir" -xdev -type f \( -name '*.key' -o -name '*.conf' \) -exec chmod 0600 {} +
        fi
    done
}

replace_config() {
    mkdir -p /root/.sealos
    chmod 0700 /root/.sealos
    cat >"$config.new"
    chmod 0600 "$config.new"
    mv -f -- "$config.new" "$config"
}

# How sealos logs in, for the time of one run: what it needs is in its config, the key in this script's directory.
arm() {
    local base
    if [[ -e $dir/config.yaml ]]; then
        base=$(without_keys "passwd pkpassword privatekey pkgurl" <"$dir/config.yaml")
    else
        base=$(without_keys "passwd pkpassword privatekey pkgurl" <"$config")
    fi
    {
        printf '%s\n' "$base"
        cat -- "$dir/login.yaml"
        if [[ -e $dir/key ]]; then
            echo "privatekey: $dir/key"
        else
            echo "privatekey: /root/.ssh/id_rsa"
        fi
    } | replace_config
}

# Takes the secrets out again, of the config and of both logs.
disarm() {
    local base file
    if [[ -e $config ]]; then
        base=$(without_keys "passwd pkpassword privatekey" <"$config")
        {
            printf '%s\n' "$base"
            printf '%s\n' 'passwd: ""' 'pkpassword: ""' 'privatekey: /root/.ssh/id_rsa'
        } | replace_config
    fi
    for file in /root/.sealos/sealos.log "${sealos_log:-}"; do
        if [[ -n $file && -e $file ]]; then
            plain <"$file" >"$file.new"
            mv -f -- "$file.new" "$file"
            chmod 0600 "$file"
        fi
    done
}

# Runs sealos with the arguments given; its output goes to a log that only root reads, phrases of its progress to us.
# Its exit status says little (it is 0 after failed joins), so callers look at the cluster afterwards.
run_sealos() {
    local program status=0 watcher
    program=$(value sealos)
    [[ -x $program ]] || program=/usr/bin/sealos
    mkdir -p "$log_dir"
    if [[ -z ${sealos_log:-} ]]; then
        sealos_log=$log_dir/$(date -u +%Y%m%dT%H%M%S)-$1-$$.log
        trap disarm EXIT
        trap 'exit 143' HUP INT TERM
    fi
    arm || return
    : >>"$sealos_log"
    tail -s 0.3 -n 0 -f --pid=$$ -- "$sealos_log" 2>/dev/null | phrases 9>&- &
    watcher=$!
    "$program" "$@" </dev/null >>"$sealos_log" 2>&1 || status=$?
    kill "$watcher" 2>/dev/null || true
    return "$status"
}

# From sealos's many lines, what a person wants to know while waiting; never the line itself.
phrases() {
    local line now
    local -A said
    while IFS= read -r line; do
        case $line in
            *'kubeadm init'*) now='kubeadm init' ;;
            *'kubeadm join'*) now='kubeadm join' ;;
            *'kubeadm reset'*) now='kubeadm reset' ;;
            *'tar zxvf'*) now='unpacking the package and running its init.sh' ;;
            *'apply -f /tmp/cni.yaml'*) now='applying the pod network' ;;
            *'.tar.gz'*) now='copying the package' ;;
            *) continue ;;
        esac
        if [[ -z ${said[$now]:-} ]]; then
            say "$now …"
            said[$now]=yes
        fi
    done
}

# Prints sealos's own last words, fit for the message of a failed job: its errors, or its last lines when it names none.
# $1: what they must be about (an address), or nothing.
last_words() {
    local errors
    errors=$(plain <"$sealos_log" | grep -E 'EROR|EMER|WARN|[Ee]rror|ERROR|panic' | grep -F -- "${1:-}" | tail -n 6 || true)
    if [[ -n $errors ]]; then
        printf '%s\n' "$errors"
    else
        plain <"$sealos_log" | grep -Ev '^[[:space:]]*$' | tail -n 8 || true
    fi
    echo "(whole log on this machine: $sealos_log)"
}
