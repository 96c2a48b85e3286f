#!/usr/bin/env bash
# Takes away what istioctl_install.sh put on the machine; run again, it finds nothing to do.
set -euo pipefail

root=${ROOT:-} # for tests: everything under another root
binary=$root/usr/local/bin/istioctl
share=$root/usr/local/share/istioctl
record=$share/.installed
begin='# >>> istioctl completion >>>'
end='# <<< istioctl completion <<<'

fail() { printf '%s\n' "$*" >&2; exit 1; }
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

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

for name in .bashrc .zshrc; do
  file=$root/root/$name
  [[ -f $file ]] || continue
  sed "/^$begin\$/,/^$end\$/d" "$file" >"$work/rc"
  # beside it and renamed, so that on a full disk it stays as it was; a link, owner and mode stay
  cmp -s -- "$work/rc" "$file" || replace "$file" "$work/rc"
  if [[ ! -s $file && -f $share/.created ]] && grep -qxF -- "$name" "$share/.created"; then rm -f -- "$file"; fi
done
if [[ -f $record && -f $binary ]]; then
  if [[ $(sha256sum -- "$binary" | cut -d' ' -f1) == "$(cat -- "$record")" ]]; then
    rm -f -- "$binary"
  else
    echo "left $binary: it is not the one that was installed" >&2
  fi
fi
rm -f -- "$binary.new" "$record" "$record.new" "$share/istioctl.bash" "$share/_istioctl" "$share/.created"
if [[ -d $share ]]; then rmdir --ignore-fail-on-non-empty -- "$share"; fi
