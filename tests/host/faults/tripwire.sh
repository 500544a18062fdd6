#!/bin/bash
# Stands before a program of the host (it is found first on the path) and counts each call that an activation makes in its
# own unit, or a staging, so that a test can strike between any two. In /run/tripwire: `armed` turns it on and says for
# which, `log` gets a line for each call, `stop` has the number of the call to wait at, `at` appears when it has come.
name=${0##*/}
for real in "/usr/bin/$name" "/usr/sbin/$name"; do [[ -x $real ]] && break; done
wire=/run/tripwire
if [[ -e $wire/armed ]]; then
    mapfile -d '' -t caller <"/proc/$PPID/cmdline"
    verb=""
    if [[ $(<$wire/armed) == staging ]]; then
        [[ ${caller[-1]} != deployer-stage ]] || verb=stage
    # What only looks changes nothing that a strike could come between.
    elif [[ "${caller[*]}" == *.deployer/activate\ @(run|recover)* && "$(</proc/$PPID/cgroup)" == */deployer-* && "$name $1" != systemctl\ @(show|is-system-running) ]]; then
        verb=${caller[2]}
    fi
    if [[ -n $verb ]]; then
        exec 9>>"$wire/log"
        /usr/bin/flock 9
        number=$(($(/usr/bin/wc -l <"$wire/log") + 1))
        printf '%s %s %s\n' "$verb" "$name" "$(printf '%q ' "$@")" >&9
        exec 9>&-
        if [[ $number == "$(<"$wire/stop")" ]]; then
            : >"$wire/at"
            while [[ -e $wire/at ]]; do /usr/bin/sleep 0.02; done
        fi
    fi
fi 2>/dev/null
exec "$real" "$@"
