#!/usr/bin/env bash
# Takes away what istioctl_install.sh put on the machine; run again, it finds nothing to do.
set -euo pipefail

root=${ROOT:-} # for tests: everything under another root
binary=$root/usr/local/bin/istioctl
share=$root/usr/local/share/istioctl
record=$share/.installed
begin='# >>> istioctl completion >>>'
end='# <<< istioctl completion <<<'

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

for name in .bashrc .zshrc; do
  file=$root/root/$name
  [[ -f $file ]] || continue
  sed "/^$begin\$/,/^$end\$/d" "$file" >"$work/rc"
  cmp -s -- "$work/rc" "$file" || cat -- "$work/rc" >"$file"
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
