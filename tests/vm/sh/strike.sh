#!/bin/bash
# Stands before a program of the virtual machine (it is found first on the path) and counts the calls that an activation
# makes from the rename of its write-ahead record on. In /run/strike: `stop` has the number of the call to wait at, `log` gets a
# line for each call, and `forget` makes sync(1) do nothing. At the call it says STRIKE on the console, and waits for the
# power to go.
name=${0##*/}
for real in "/usr/bin/$name" "/usr/sbin/$name"; do [[ -x $real ]] && break; done
wire=/run/strike
# What only looks changes nothing.
if [[ -e $wire/stop && "$(</proc/self/cgroup)" == */deployer-* && "$name $1" != systemctl\ @(show|is-*) ]]; then
    [[ $name != sync || ! -e $wire/forget ]] || exit 0
    if [[ -e $wire/log || "$name ${*: -1}" == mv\ */committing ]]; then
        printf '%s %s\n' "$name" "$*" >>"$wire/log"
        mapfile -t calls <"$wire/log"
        if [[ ${#calls[@]} == "$(<"$wire/stop")" ]]; then
            printf '\nSTRIKE before %s %s\n' "$name" "$*" >/dev/ttyS0
            exec /usr/bin/sleep infinity
        fi
    fi
fi
exec "$real" "$@"
