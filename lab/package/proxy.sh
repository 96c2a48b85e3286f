#!/bin/sh
# In front of kube-proxy in its image: the connection tables' size and times are the host's kernel's, which a machine of the lab can't set.
config=/tmp/config.conf
sed 's/^\(  maxPerCore\|  min\): .*/\1: 0/; s/^\(  tcp[A-Za-z]*Timeout\): .*/\1: 0s/' /var/lib/kube-proxy/config.conf >$config || exit 1
for argument; do
  shift
  case $argument in --config=*) argument=--config=$config ;; esac
  set -- "$@" "$argument"
done
exec /usr/local/libexec/kube-proxy "$@"
