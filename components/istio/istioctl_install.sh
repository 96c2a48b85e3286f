#!/usr/bin/env bash
# Installs istioctl with bash and zsh completion; run again, it changes nothing.
# $1: a directory with path, version, sha256 (may be empty) and completion (collateral or completion).
set -euo pipefail

root=${ROOT:-}               # for tests: everything under another root
prefix=${PREFIX:-/usr/local} # on a workstation: a place of the user's own, and the user's own rc files
home=${RC_HOME:-/root}
source=$(cat -- "$1/path")
version=$(cat -- "$1/version")
sha256=$(cat -- "$1/sha256")
style=$(cat -- "$1/completion")
binary=$root$prefix/bin/istioctl
share=$root$prefix/share/istioctl
record=$share/.installed # sha256 of what was put at $binary: only that may be replaced or removed
begin='# >>> istioctl completion >>>'
end='# <<< istioctl completion <<<'
bash_completion=/usr/share/bash-completion/bash_completion
export KUBECONFIG=/dev/null # of one that is missing 1.5 says so among what it prints

fail() { printf '%s\n' "$*" >&2; exit 1; }
sum() { sha256sum -- "$1" | cut -d' ' -f1; }
# replace FILE CONTENT: FILE becomes a copy of the other one, or stays as it was. components/sealos/lib.sh has the same; this runs alone.
replace() {
  local file why
  file=$(readlink -m -- "$1")
  if ! why=$({ cp --attributes-only --preserve=all -- "$file" "$file.new" && cat -- "$2" >"$file.new" && sync -- "$file.new" &&
    mv -f -- "$file.new" "$file"; } 2>&1); then
    rm -f -- "$file.new"
    why=${why##*$'\n'}
    fail "$file could not be written (${why##*: }); it stays as it was. Look at the room and the rights there, then run it again"
  fi
}

[[ -f $source ]] || fail "$source does not exist there; copy istioctl $version to it, or set istio.istioctl.path"
have=$(sum "$source")
if [[ -n $sha256 && $have != "$sha256" ]]; then
  fail "$source has SHA-256 $have, but istio.istioctl.sha256 is $sha256"
fi

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
install -m 0755 -- "$source" "$work/istioctl"
found=$("$work/istioctl" version --remote=false 2>/dev/null) || fail "$source can't be run as istioctl on this machine"
found=${found##* } # later versions write "client version: 1.x"
[[ $found == "$version" ]] || fail "$source is istioctl $found, but istio.version is $version; put the right one there"

if [[ -e $binary || -L $binary ]] && [[ $(sum "$binary") != "$have" ]]; then
  if [[ ! -f $record || $(cat -- "$record") != "$(sum "$binary")" ]]; then
    fail "$binary is another istioctl that was not installed by this program; move it away"
  fi
fi

mkdir -p -- "${binary%/*}" "$share"
if [[ $style == collateral ]]; then
  (cd "$work" && ./istioctl collateral --bash --zsh -o "$work" >/dev/null 2>&1)
else
  "$work/istioctl" completion bash >"$work/istioctl.bash"
  "$work/istioctl" completion zsh >"$work/_istioctl"
fi
for file in istioctl.bash _istioctl; do
  [[ -s $work/$file ]] || fail "$source wrote no completion file $file"
  cmp -s -- "$work/$file" "$share/$file" || install -m 0644 -- "$work/$file" "$share/$file"
done
if ! cmp -s -- "$work/istioctl" "$binary"; then
  # the record first: a run that dies in between leaves a binary that may be replaced
  printf '%s\n' "$have" >"$record.new"
  install -m 0755 -- "$work/istioctl" "$binary.new"
  sync -- "$record.new" "$binary.new"
  mv -- "$record.new" "$record"
  mv -- "$binary.new" "$binary"
elif [[ ! -f $record ]]; then
  printf '%s\n' "$have" >"$record"
fi

# Puts one marked block at the end of a file, in place of an earlier one; what else is in it stays as it is.
put_block() {
  local file=$1 block=$2
  if [[ ! -e $file ]]; then
    : >"$file"
    printf '%s\n' "${file##*/}" >>"$share/.created"
  fi
  sed "/^$begin\$/,/^$end\$/d" "$file" >"$work/rc"
  if [[ -s $work/rc && -n $(tail -c1 -- "$work/rc") ]]; then echo >>"$work/rc"; fi
  printf '%s\n%s\n%s\n' "$begin" "$block" "$end" >>"$work/rc"
  # beside it and renamed, so that on a full disk it stays as it was; a link, owner and mode stay
  cmp -s -- "$work/rc" "$file" || replace "$file" "$work/rc"
}
printf -v bash_file %q "$prefix/share/istioctl/istioctl.bash"
printf -v zsh_file %q "$prefix/share/istioctl/_istioctl"
put_block "$root$home/.bashrc" "if [ -r $bash_file ]; then
  if ! type _get_comp_words_by_ref >/dev/null 2>&1 && [ -r $bash_completion ]; then . $bash_completion; fi
  # without it every Tab would print an error
  if type _get_comp_words_by_ref >/dev/null 2>&1; then . $bash_file; fi
fi"
put_block "$root$home/.zshrc" "if [[ -r $zsh_file ]]; then
  autoload -Uz compinit && compinit
  source $zsh_file
fi"
[[ -r $root$bash_completion ]] || echo "completion for bash works once the package bash-completion is installed" >&2
echo "istioctl $version is at $prefix/bin/istioctl, with completion for bash and zsh" >&2
