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

# Whoever waits for the lock that this job holds is told the same.
say() {
    echo "$*" >&2
    if [[ -n ${lock_until:-} ]]; then { printf '%s %s\n' "$lock_until" "${*%%$'\n'*}" >"$lock_file"; } 2>/dev/null || true; fi
}

die() {
    say "$*"
    exit 1
}

# The value that the request gives for a key; empty when it gives none.
value() { if [[ -e $dir/$1 ]]; then cat -- "$dir/$1"; fi; }

kube() { /usr/bin/kubectl --kubeconfig "$admin" --request-timeout=20s "$@"; }

# One job at a time on this cluster: sealos has no lock of its own. Held until the script and the sealos it started end.
# A job that has it writes down what it does and until when it may take; one that waits for it says so, and waits for lock-wait seconds
# and in any case as long as whoever has it may take. From then on it has work-limit seconds itself, however long it has waited.
# $waited says whether another one had it, and may have changed what was looked at before.
waited=""
lock() {
    local holder theirs doing told=nothing end limit
    mkdir -p "${lock_file%/*}"
    exec 9>>"$lock_file"
    end=$(($(date +%s) + $(value lock-wait)))
    if ! flock -n 9; then waited=yes; fi
    until flock -w 1 9; do
        holder=$(head -n 1 -- "$lock_file") theirs=0 doing=""
        if [[ $holder =~ ^([0-9]{1,11})\ (.*)$ ]]; then theirs=${BASH_REMATCH[1]} doing=" (${BASH_REMATCH[2]})"; fi
        if ((theirs + 15 > end)); then end=$((theirs + 15)); fi
        if [[ $holder != "$told" ]]; then
            say "waiting for another job on this cluster to end$doing, for $((end - $(date +%s))) s at most"
            told=$holder
        fi
        (($(date +%s) < end)) || die "another job on this cluster did not end in time$doing; see $log_dir on this machine"
    done
    limit=$(value work-limit)
    lock_until=$(($(date +%s) + ${limit:-$(value .timeout)} + 0))
    printf '%s %s\n' "$lock_until" "at work" >"$lock_file"
    if [[ -n $limit ]]; then end_in_time "$limit" 9>&- & fi
}

# Ends this job when it has worked for $1 seconds: what limits it as a whole has to leave room for waiting.
end_in_time() {
    while sleep 1 && [[ -e $dir/work-limit ]]; do
        if (($(date +%s) > lock_until)); then
            say "it did not end within $1 s"
            kill -TERM "$PPID" # its `timeout`, which ends all of it
            return
        fi
    done
}

# What an earlier or half-made cluster left on this machine, one path per line.
leftovers() {
    local path inside
    for path in /etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf \
        /etc/kubernetes/manifests /etc/kubernetes/pki /var/lib/etcd /var/lib/kubelet/config.yaml /var/lib/kubelet/pki \
        /etc/cni/net.d /root/.kube/config /root/.sealos/pki; do
        if [[ -d $path ]]; then
            # a folder that can't be listed (a broken disk) is not an empty one
            inside=$(ls -A -- "$path") || inside=unreadable
            # every new ext4 disk has it
            if [[ $inside == lost+found ]]; then inside=$(ls -A -- "$path/lost+found") || inside=unreadable; fi
            [[ -n $inside ]] || continue
        fi
        if [[ -d $path || -f $path ]]; then echo "$path"; fi
    done
    # after `clean --all` sealos writes its config again, without hosts; that one is no cluster
    if [[ -f $config ]] && grep -Eq '^ *- ' "$config"; then
        echo "$config"
    fi
}

# kubeadm refuses these folders when there is anything in them. fsck makes lost+found anew when it needs it. etcd's is then as kubeadm itself
# would make it: with any other mode etcd 3.4.10 to 3.4.13 does not start.
new_disks_for_kubeadm() {
    rmdir -- /var/lib/etcd/lost+found /etc/kubernetes/manifests/lost+found 2>/dev/null || true
    if [[ -d /var/lib/etcd && -z $(ls -A /var/lib/etcd) ]]; then chmod 0700 -- /var/lib/etcd; fi
}

# Which of a cluster's programs run on this machine, one per line; one that was stopped (SIGSTOP) counts, one that has ended does not.
# By the command's own name, too, because the kernel cuts off names after 15 characters (kube-controllers is Calico's).
alive() {
    local process name command
    for process in /proc/[0-9]*; do
        { IFS= read -r -d '' command <"$process/cmdline" && read -r name <"$process/comm"; } 2>/dev/null || continue
        for name in "${command##*/}" "$name"; do
            case $name in
                kubelet | etcd | kube-apiserver | kube-controller-manager | kube-scheduler) echo "$name" ;;
            esac
        done
    done | sort -u
}

kubelet_conf=/etc/kubernetes/kubelet.conf
kubelet_pem=/var/lib/kubelet/pki/kubelet-client-current.pem

# The value of a key of the kubelet's kubeconfig that holds base64, decoded; nothing when it is not there.
kubelet_data() { sed -nE "s|^ *$1: *\"?([A-Za-z0-9+/=]+)\"? *\$|\\1|p" "$kubelet_conf" | head -n 1 | base64 -d; }

# SHA-256 of the CA that this machine's kubelet trusts: its kubeconfig has the very bytes of that cluster's ca.crt.
kubelet_ca() { kubelet_data certificate-authority-data | grep . | sha256sum | cut -d' ' -f1; }

# The name of the Node that this machine's kubelet reports, from its client certificate: the one that it renews itself, else the
# one that stands in its kubeconfig. Nothing when it has none yet.
node_name() {
    local der=$dir/client.der at length
    if [[ -r $kubelet_pem ]]; then
        sed '/-END CERTIFICATE-/q' "$kubelet_pem"
    else
        kubelet_data client-certificate-data
    fi | sed '/^-----/d' | base64 -d >"$der" 2>/dev/null || true
    # "system:node:NAME" is one string of the subject; the byte before it is its length
    at=$(grep -abo 'system:node:' "$der" | head -n 1 | cut -d: -f1) || return 0
    length=$(od -An -tu1 -j "$((at - 1))" -N 1 "$der")
    tail -c "+$((at + 13))" "$der" | head -c "$((length - 12))" || true
}

# replace FILE COMMAND…: FILE becomes what the command prints. Written beside it, synced, checked, and only then renamed: when any of
# that fails, FILE stays byte for byte as it was and the script ends with the reason. It must not be left to `set -e`, which is off in
# everything that is called as a condition or before || and &&; for the same reason a command of several steps joins them by &&.
# An old file keeps its owner and mode; a new one is the owner's alone. Not for a file that is a mount of its own.
replace() {
    local file new why
    file=$(readlink -m -- "$1") # a link stays one
    new=$file.new~ # no name of a machine ends so
    shift
    rm -f -- "$new" || true
    if ! why=$({
        if [[ -e $file ]]; then cp --attributes-only --preserve=all -- "$file" "$new" || exit 1; fi
        "$@" >"$new" && sync -- "$new" && mv -f -- "$new" "$file"
    } 2>&1); then
        rm -f -- "$new" || true
        why=${why##*$'\n'}
        why=${why##*: }
        die "$file could not be written (${why:-no reason given}); it stays as it was. Look at the room and the rights there (df -h ${file%/*}), then run it again"
    fi
}

# keep NAME: the request's file of that name becomes what this machine has written down under it.
keep() {
    mkdir -p "$etc"
    replace "$etc/$1" cat -- "$dir/$1"
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

# The architecture that the program $1 is for, as uname -m has it; nothing for what is no ELF file of one that there are packages for.
program_arch() {
    case $(od -An -tx1 -N 20 -- "$1" 2>/dev/null | tr -d ' \n') in
        7f454c46*3e00) echo x86_64 ;;
        7f454c46*b700) echo aarch64 ;;
    esac
}

# What that sealos says about its version, in one line; fails when it can't be run, and leaves why in $dir/sealos-why unless it is its mode.
sealos_version() {
    local program said status=0
    program=$(sealos_program)
    [[ -n $program && -f $program ]] || return 1
    if [[ ! -x $program ]]; then
        if (($(stat -c 0%a -- "$program") & 0111)); then printf 'its folder is mounted noexec' >"$dir/sealos-why"; fi
        return 1
    fi
    # a home of its own, because sealos writes a log wherever it runs
    mkdir -p "$dir/home" || return 1
    said=$(HOME=$dir/home timeout 20 "$program" version 2>&1 </dev/null) || status=$?
    if ((status == 126)); then # timeout's own
        printf '%s' "${said##*: }" >"$dir/sealos-why"
        return 1
    fi
    plain <<<"$said" | tr '\n' ' '
}

# A new folder below which programs can be run, which the caller takes away again; fails where there is none. Both /run and /tmp,
# where $dir is, may be mounted noexec.
runnable() {
    local place new
    for place in "$dir" /root /var/tmp /usr/local/bin; do
        new=$(mktemp -d "$place/.sealos-istio.XXXXXXXX" 2>/dev/null) || continue
        if { printf '#!/bin/sh\n' >"$new/try" && chmod 0700 "$new/try" && "$new/try"; } 2>/dev/null; then
            rm -f -- "$new/try"
            printf '%s' "$new"
            return 0
        fi
        rm -rf -- "$new"
    done
    return 1
}

# Which Kubernetes the offline package $1 holds, as facts: its Metadata, else the word of its kubeadm (the packages of
# Kubernetes 1.16's days have no Metadata), else why it has neither, or that its kubeadm can't be run here. Nothing when it can't be
# read in time.
package_facts() {
    local place status=0 runs=yes
    place=$(runnable) || { place=$dir/unpacked runs="" && mkdir -p "$place"; }
    # reading ends with the second of them; one that is not there costs the whole archive
    timeout 60 tar -xzf "$1" -C "$place" --no-same-owner --occurrence=1 --wildcards '*kube/Metadata' '*kube/bin/kubeadm' 2>"$dir/why" || status=$?
    if [[ -s $place/kube/Metadata ]]; then
        echo "package_metadata $(base64 -w0 <"$place/kube/Metadata")"
    elif [[ -s $place/kube/bin/kubeadm && -z $runs ]]; then
        echo "package_unasked yes"
    elif [[ -s $place/kube/bin/kubeadm ]]; then
        echo "package_kubeadm $(timeout 20 "$place/kube/bin/kubeadm" version -o short 2>/dev/null </dev/null | head -n 1 || true)"
    elif ((status != 124)); then
        echo "package_why $(grep -v -e '^$' -e 'Not found in archive' -e 'Exiting with failure' "$dir/why" | head -n 1)"
    fi
    echo "package_arch $(program_arch "$place/kube/bin/kubeadm")"
    rm -rf -- "$place"
}

# How curl logs in to etcd: by the API server's own certificate. root's .curlrc, which may name a proxy, is not asked (-q).
pki=/etc/kubernetes/pki
etcd_login=(--cacert "$pki/etcd/ca.crt" --cert "$pki/apiserver-etcd-client.crt" --key "$pki/apiserver-etcd-client.key")

# etcd_call VERB BODY: its JSON gateway on this machine (/v3 since etcd 3.4, /v3beta up to 3.4).
etcd_call() {
    local version
    for version in v3 v3beta; do
        if curl -q -sSf --max-time 20 "${etcd_login[@]}" --data "$2" "https://127.0.0.1:2379/$version/cluster/member/$1" 2>"$dir/why"; then
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
    curl -q -sSf --max-time 5 "${etcd_login[@]}" "https://$1:2379/health" 2>/dev/null | grep -Eq '"health": *"true"'
}

# Ends the script with why etcd can't do without the master $1, whose member has the address $2; it can without one that is no member.
etcd_spares() {
    local others=0 healthy=0 own=0 other
    command -v curl >/dev/null || die "curl is missing on this machine, which etcd's members are asked with; install it"
    etcd_members >"$dir/members" || die "etcd on this machine did not tell its members: $(tail -n 1 "$dir/why")"
    while read -r _ other; do
        if [[ $other == "$2" ]]; then
            own=1
        else
            others=$((others + 1))
            if etcd_healthy "$other"; then healthy=$((healthy + 1)); fi
        fi
    done <"$dir/members"
    ((others > 0)) || die "$1 is the only master that etcd knows; it goes with the whole cluster only"
    if ((own && healthy < others / 2 + 1)); then
        die "only $healthy of the $others other etcd members are healthy: without $1 etcd would have no quorum. Bring the others back first"
    fi
}

# Takes the member of the master $1, at address $2, out of etcd if it is still there.
etcd_forget() {
    local id other
    etcd_members >"$dir/members" || die "etcd on this machine did not tell its members: $(tail -n 1 "$dir/why")"
    while read -r id other; do
        if [[ $other == "$2" ]]; then
            say "taking $1 out of etcd …"
            etcd_call remove "{\"ID\":\"$id\"}" >/dev/null || die "etcd member $id of $1 could not be removed: $(tail -n 1 "$dir/why")"
        fi
    done <"$dir/members"
}

manifests=/etc/kubernetes/manifests
# Ends this master's etcd and what works with it, as kubelet ends a static pod whose manifest is gone. The manifests stay in the folder $1.
set_aside() {
    local pod
    mkdir -p "$1"
    for pod in kube-controller-manager kube-scheduler kube-apiserver etcd; do
        if [[ -e $manifests/$pod.yaml ]]; then mv -- "$manifests/$pod.yaml" "$1/"; fi
    done
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

# The config with today's SSH ports of the machines in $dir/targets (address:port lines): by the text it knows a machine and reaches it.
retargeted() {
    awk '
        NR == FNR { at = match($0, /:[0-9]+$/); port[substr($0, 1, at - 1)] = substr($0, at); next }
        /^ *- .*:[0-9]+["\047]?$/ {
            host = $0; gsub(/^ *- *|["\047]|:[0-9]+["\047]?$/, "", host)
            if (host in port) {
                if (told[host]++) next
                sub(/:[0-9]+/, port[host])
            }
        }
        { print }' "$dir/targets" "$config"
}

true_ports() {
    if [[ -e $config ]] && ! retargeted | cmp -s - "$config"; then replace "$config" retargeted; fi
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

# sealos's config without how to log in: what `arm` begins with.
base_config() {
    if [[ -e $dir/config.yaml ]]; then
        without_keys "passwd pkpassword privatekey pkgurl" <"$dir/config.yaml"
    else
        without_keys "passwd pkpassword privatekey pkgurl" <"$config"
    fi
}

armed_config() {
    local key=/root/.ssh/id_rsa
    if [[ -e $dir/key ]]; then key=$dir/key; fi
    cat -- "$dir/base.yaml" "$dir/login.yaml" && echo "privatekey: $key"
}

# How sealos logs in, for the time of one run: what it needs is in its config, the key in this script's directory.
# base.yaml stays there to see afterwards that sealos left the whole of its config. config.yaml.room is room on that disk, for what must
# be written when sealos has filled it.
arm() {
    if ! { mkdir -p /root/.sealos && chmod 0700 /root/.sealos && if [[ -e $config ]]; then chmod 0600 "$config"; fi; }; then
        die "/root/.sealos can't be made the owner's alone on this machine"
    fi
    replace "$dir/base.yaml" base_config
    replace "$config.room" head -c 65536 /dev/zero
    replace "$config" armed_config
}

disarmed_config() {
    without_keys "passwd pkpassword privatekey" <"$config" && printf '%s\n' 'passwd: ""' 'pkpassword: ""' 'privatekey: /root/.ssh/id_rsa'
}

plain_file() { plain <"$1"; }

# Takes the secrets out again, of the config and of both logs; fails when one of them can't be written, and says which.
# What has none is not written, so that a disk that is full already is no failure of its own.
disarm() {
    local file failed=0
    rm -f -- "$config.room" || true
    if [[ -e $config ]] && ! disarmed_config | cmp -s - "$config"; then
        (chmod 0600 "$config" && replace "$config" disarmed_config) || failed=1
    fi
    for file in /root/.sealos/sealos.log "${sealos_log:-}"; do
        if [[ -n $file && -e $file ]]; then
            chmod 0600 "$file" || failed=1
            if ! plain_file "$file" | cmp -s - "$file"; then
                (replace "$file" plain_file "$file") || failed=1
            fi
        fi
    done
    return "$failed"
}

top_level_keys() { grep -oE '^[A-Za-z]+:' | sort; }

# sealos writes its config over itself, so on a full disk nothing, or half of it, is left, and no machine could join or leave any more.
# Puts back what it was before the run when one of its keys is missing.
keep_config_whole() {
    if [[ -e $config && -n $(comm -23 <(top_level_keys <"$dir/base.yaml") <(top_level_keys <"$config")) ]]; then
        say "sealos left $config half written; putting back what it was before"
        rm -f -- "$config.room" || true
        replace "$config" finished_config
    fi
}

# As disarmed_config, from before the run, with the package's place of this run's request.
finished_config() {
    cat -- "$dir/base.yaml" && grep '^pkgurl:' "$dir/login.yaml" && printf '%s\n' 'passwd: ""' 'pkpassword: ""' 'privatekey: /root/.ssh/id_rsa'
}

# Runs sealos with the arguments given; its output goes to a log that only root reads, phrases of its progress to us.
# Its exit status says little (it is 0 after failed joins), so callers look at the cluster afterwards; for the same reason they call it
# where `set -e` is off, and what fails before sealos itself ends the script.
run_sealos() {
    local program status=0 watcher
    program=$(value sealos)
    [[ -x $program ]] || program=/usr/bin/sealos
    if [[ -z ${sealos_log:-} ]]; then
        sealos_log=$log_dir/$(date -u +%Y%m%dT%H%M%S)-$1-$$.log
        trap 'disarm || exit 1' EXIT
        trap 'exit 143' HUP INT TERM
    fi
    { mkdir -p "$log_dir" && : >>"$sealos_log"; } || die "sealos's log $sealos_log can't be written on this machine"
    arm
    tail -s 0.3 -n 0 -f --pid=$$ -- "$sealos_log" 2>/dev/null | phrases 9>&- &
    watcher=$!
    # in a group without errors of its own, because of a sealos that is killed bash itself would tell the line and the process
    { "$program" "$@" </dev/null >>"$sealos_log" 2>&1 || status=$?; } 2>/dev/null
    if ((status > 128)); then say "sealos was ended by signal $((status - 128))"; fi
    kill "$watcher" 2>/dev/null || true
    keep_config_whole
    return "$status"
}

# From sealos's many lines, what a person wants to know while waiting; never the line itself. Commands it logs as `[ssh][HOST] COMMAND`;
# in what they print kubeadm's own hints name others, as `kubeadm join` at the end of `kubeadm init`.
phrases() {
    local line now
    local -A said
    while IFS= read -r line; do
        case $line in
            *'] kubeadm init --config'*) now='kubeadm init' ;;
            *'] kubeadm join '*) now='kubeadm join' ;;
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

# Prints sealos's own last words, fit for the message of a failed job: its errors, each with what the command before it had printed (which
# sealos logs as raw lines after `[ssh][HOST]command result is:`, and which alone tells the cause), or its last lines when it names none.
# $1: what they must be about (an address), or nothing.
last_words() {
    local errors
    errors=$(plain <"$sealos_log" | awk -v about="${1:-}" '
        function printed(  line) { for (line = (count > 6 ? count - 5 : 1); line <= count; line++) print "  " block[line]; count = 0 }
        /^[0-9:]+ +\[/ { raw = 0; ours = index($0, about) || about == "" }
        /command result is:/ { raw = ours; if (raw) count = 0; sub(/.*command result is: */, ""); if (raw && NF) block[++count] = $0; next }
        raw { if (NF) block[++count] = $0; next }
        (index($0, about) || about == "") && /EROR|EMER|WARN|[Ee]rror|ERROR|panic/ { printed(); print; said = 1 }
        END { if (!said) printed() }' | tail -n 12 || true)
    if [[ -n $errors ]]; then
        printf '%s\n' "$errors"
    else
        plain <"$sealos_log" | grep -Ev '^[[:space:]]*$' | tail -n 8 || true
    fi
    echo "(whole log on this machine: $sealos_log)"
}
