# shellcheck shell=bash
# Is the service well? One look (check_once) and a watch over time (watch). Needs lib.sh and a release's settings.
# Everything here is done by bash itself: a host has no curl and no nc for certain.

# What a release's settings may leave out.
no_checks() { CHECK_HTTP=() CHECK_TCP=() CHECK_UNIX="" CHECK_COMMAND="" MIGRATE=(); }
no_checks
: "${SETTLE_MS:=5000}" "${TIMEOUT_MS:=60000}" "${INTERVAL_MS:=1000}" "${CHECK_TIMEOUT_S:=5}"

# Each check sets WHY when it fails.

# check_http HOST PORT PATH HOST_HEADER STATUSES BODY
check_http() {
    local answer status=0 url=http://$4$3
    # HTTP/1.0, so that nobody sends chunks; the reply is cut at 64 KiB. Status 7 says that it is not a reply at all, but what
    # bash says of the connection. A server that answers before it has read all must not end us by SIGPIPE.
    # shellcheck disable=SC2016 # expanded by the inner bash
    answer=$(timeout -k 1 "$CHECK_TIMEOUT_S" bash -c '
        trap "" PIPE
        exec 4>&2 2>&1
        exec 3<>"/dev/tcp/$1/$2" || exit 7
        exec 2>&4
        printf "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: deployer\r\nAccept: */*\r\nConnection: close\r\n\r\n" "$3" "$4" >&3
        head -c 65536 <&3' _ "$1" "$2" "$3" "$4" 2>/dev/null | tr -d '\0') || status=$?
    if ((status == 7)); then
        # Its first line has the cause at its end; a second one may say less ("Invalid argument" of an unknown name).
        answer=${answer%%$'\n'*} answer=${answer##*: }
        WHY="$url: ${answer/#Connection refused/connection refused}"
        return 1
    fi
    if [[ ! $answer =~ ^HTTP/[0-9.]+\ ([0-9][0-9][0-9]) ]]; then
        if [[ -n $answer ]]; then
            WHY="$url: the answer is not HTTP"
        elif ((status == 124 || status == 137)); then
            WHY="$url: no answer within $CHECK_TIMEOUT_S s"
        else
            WHY="$url: the connection was closed without an answer"
        fi
        return 1
    fi
    status=${BASH_REMATCH[1]}
    if [[ " $5 " != *" $status "* ]]; then
        WHY="$url answered $status, not ${5// / or }"
        return 1
    fi
    if [[ -n $6 && ${answer#*$'\r\n\r\n'} != *"$6"* ]]; then
        WHY="$url answered $status, but without the text that health.body asks for"
        return 1
    fi
}

# check_tcp HOST PORT
check_tcp() {
    # shellcheck disable=SC2016 # expanded by the inner bash
    if ! timeout -k 1 "$CHECK_TIMEOUT_S" bash -c 'exec 3<>"/dev/tcp/$1/$2"' _ "$1" "$2" 2>/dev/null; then
        WHY="nothing accepts connections on $1 port $2"
        return 1
    fi
}

# check_unix PATH: is there a listening socket? /proc/net/unix: field 4 has __SO_ACCEPTCON (0x10000) for a listener.
check_unix() {
    local flags path rest table=/proc/net/unix
    [[ ${STATE[MainPID]:-0} != 0 && -r /proc/${STATE[MainPID]}/net/unix ]] && table=/proc/${STATE[MainPID]}/net/unix
    if [[ -S $1 ]]; then
        while read -r _ _ _ flags _ _ _ path rest; do
            : "$rest"
            [[ $path == "$1" && $flags == 00010000 ]] && return 0
        done <"$table"
    fi
    WHY="nobody listens on the socket $1"
    return 1
}

# check_command COMMAND: runs as the service would.
check_command() {
    one_off "${CHECK_UNIT:-$OURS:trial-check.service}" "$CHECK_TIMEOUT_S" "$1" >/dev/null 2>&1 && return 0
    WHY="the health command $ENDED: $1"
    return 1
}

# one_off UNIT TIMEOUT_S COMMAND: a command with the release's user, environment, directories and sandbox. Variables are
# the shell's to expand: systemd would put values into the command's text, quotes and all, if "$" were not doubled.
# Where it fails, ENDED says how. Not of Type=exec: of a command that ends at once, systemd-run then tells status 1,
# whatever its status was.
# The drop-in of the release applies by the unit's name: deployer-APP:trial-.service.d.
one_off() {
    local directory=/run/systemd/system/${1%-*}-.service.d release=$ROOT/releases/$ID status=0 begun
    # Without the drop-in it would run as root, and outside of the sandbox.
    if ! { directory 0755 "$directory" && [[ -s $release/.deployer/one-off.conf ]] && {
        cmp -s -- "$release/.deployer/one-off.conf" "$directory/50-release.conf" ||
            { put 0644 "$release/.deployer/one-off.conf" "$directory/50-release.conf" && manager daemon-reload; }
    }; }; then
        ENDED="could not be set up ($(df -h --output=avail -- /run | tail -n 1 | tr -d ' ') free on /run)"
        return 1
    fi
    now_ms
    begun=$NOW_MS
    systemd-run --quiet --wait --collect --unit="$1" --description="One-off command of $APP" -p "RuntimeMaxSec=$2" -p TimeoutStopSec=5 \
        -p "SyslogIdentifier=${1%.service}" -- /bin/sh -c "cd '$release' && ${3//\$/\$\$}" </dev/null || status=$?
    ((status == 0)) && return 0
    now_ms
    to_ms "$2"
    ENDED="ended with status $status"
    # systemd-run itself does not tell.
    ((NOW_MS - begun < MS)) || ENDED="did not end within $2 s"
    return 1
}

# check_once: every check that the release asks for. Needs STATE.
check_once() {
    WHY=""
    if ((${#CHECK_HTTP[@]})); then check_http "${CHECK_HTTP[@]}" || return 1; fi
    if ((${#CHECK_TCP[@]})); then check_tcp "${CHECK_TCP[@]}" || return 1; fi
    if [[ -n $CHECK_UNIX ]]; then check_unix "$CHECK_UNIX" || return 1; fi
    if [[ -n $CHECK_COMMAND ]]; then check_command "$CHECK_COMMAND" || return 1; fi
}

# is_up: running, or done and meant to count as running.
is_up() {
    [[ ${STATE[ActiveState]:-} == active ]] || return 1
    [[ ${STATE[SubState]:-} == running || (${STATE[SubState]:-} == exited && ${STATE[RemainAfterExit]:-} == yes) ]]
}

# how_it_ended: a sentence from the unit's last result, e.g. "exited with status 1 after 3.2 s".
how_it_ended() {
    local status=${STATE[ExecMainStatus]:-0} name
    case ${STATE[Result]:-} in
        timeout) printf 'did not get through its start in time' && return ;;
        oom-kill) printf 'was ended for want of memory (oom-kill)' && return ;;
        watchdog) printf 'missed its watchdog' && return ;;
        resources) printf 'could not be set up: a file of the unit is missing or unreadable' && return ;;
        start-limit-hit) printf 'was started too often in a short time' && return ;;
    esac
    case ${STATE[ExecMainCode]:-0} in
        2 | 3) printf 'was ended by signal %s' "$(kill -l "$status" 2>/dev/null || printf '%s' "$status")" ;;
        *)
            if ((status >= 200 && status <= 250)); then
                # systemd's own exit statuses: 203 EXEC, 217 USER, 226 NAMESPACE, … see systemd.exec(5).
                name=$(systemd-analyze --no-pager exit-status "$status" 2>/dev/null | sed -n '2s/ .*//p' || true)
                printf 'could not be executed: status %s/%s' "$status" "${name:-?}"
                ((status != 203)) || printf ' (the program, or the interpreter that its first line names, is missing or not executable)'
            else
                printf 'exited with status %s' "$status"
            fi
            ;;
    esac
}

# how_it_died: what the journal says of the unit's last process that ended, e.g. " (exited, status=1/FAILURE)". systemd
# itself forgets it with the restart. The message's id is SD_MESSAGE_UNIT_PROCESS_EXIT of systemd.
how_it_died() {
    sync_journal
    timeout 10 journalctl --no-pager -q -o cat -n 1 _PID=1 "UNIT=$UNIT" MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15 2>/dev/null |
        sed -n 's/.*Main process exited, code=\(.*\)/ (\1)/p' || true
}

# stop_limit_ms: prints how long a stop of the unit may take, as an upper bound. Needs STATE.
stop_limit_ms() {
    local limit
    # It is told as a span ("30s", "1min 30s", "infinity").
    limit=$(systemd-analyze --no-pager timespan "${STATE[TimeoutStopUSec]:-90s}" 2>/dev/null |
        sed -n 's/^ *[^ ]*s: \([0-9]*\)$/\1/p' | head -n 1) || true
    printf '%s' "$((${limit:-90000000} / 1000 + 20000))"
}

# watch OLD_INVOCATION: follow a start that has just been asked for; 0 when the service held, else 1 and CAUSE.
# Held: for SETTLE_MS one process, no restart, every check passing, before TIMEOUT_MS are over. The time in which the
# process of before is stopped does not count, but has an end too.
watch() {
    local old=$1 begun started="" invocation="" good_since="" pid="" next_check=0 stop_ms seconds
    CAUSE="" WHY=""
    now_ms
    begun=$NOW_MS
    state "$UNIT"
    stop_ms=$(stop_limit_ms)
    while :; do
        now_ms
        if [[ -z ${STATE[InvocationID]:-} || ${STATE[InvocationID]} == "$old" ]]; then
            if [[ ${STATE[Job]:-0} == 0 || -z ${STATE[Job]:-} ]] && ((NOW_MS - begun > 2000)); then
                CAUSE="systemd did not start it: $(how_it_ended) (state ${STATE[ActiveState]}/${STATE[SubState]})"
                return 1
            fi
            if ((NOW_MS - begun > stop_ms)); then
                CAUSE="the process of before did not stop within $((stop_ms / 1000)) s"
                return 1
            fi
        else
            [[ -n $started ]] || started=$NOW_MS
            : "${invocation:=${STATE[InvocationID]}}"
            seconds=$(((NOW_MS - started) / 1000)).$(((NOW_MS - started) % 1000 / 100))
            if [[ ${STATE[InvocationID]} != "$invocation" && ${STATE[NRestarts]:-0} == 0 ]]; then
                # systemd counts its own restarts: this was a person. What is on trial is the same; it settles anew.
                tell note level warning text "it was restarted by hand, $seconds s after its start"
                invocation=${STATE[InvocationID]} pid="" good_since="" next_check=0
            fi
            if [[ ${STATE[NRestarts]:-0} != 0 ]]; then
                CAUSE="it died and was restarted by systemd$(how_it_died), within $seconds s of its start"
                return 1
            fi
            case ${STATE[ActiveState]}/${STATE[SubState]} in
                failed/* | */auto-restart*)
                    CAUSE="it $(how_it_ended), $seconds s after its start"
                    return 1
                    ;;
                inactive/*)
                    CAUSE="it ended by itself with status 0, $seconds s after its start"
                    return 1
                    ;;
            esac
            if is_up; then
                : "${pid:=${STATE[MainPID]}}"
                if [[ ${STATE[SubState]} == exited && $pid != 0 ]]; then
                    # A start that puts the service into the background has done so, as RemainAfterExit= allows.
                    pid=0 good_since=""
                fi
                if [[ ${STATE[MainPID]} != "$pid" ]]; then
                    CAUSE="its main process changed from $pid to ${STATE[MainPID]}, $seconds s after its start"
                    return 1
                fi
                if ((NOW_MS >= next_check)); then
                    if check_once; then
                        now_ms
                        if [[ -z $good_since ]]; then
                            good_since=$NOW_MS TOLD=""
                            tell waiting text "healthy so far"
                        fi
                        if ((NOW_MS - good_since >= SETTLE_MS)); then
                            # The checks take time: look once more that it is still the same process.
                            state "$UNIT"
                            if is_up && [[ ${STATE[InvocationID]} == "$invocation" && ${STATE[MainPID]} == "$pid" ]]; then
                                return 0
                            fi
                            continue
                        fi
                    else
                        good_since=""
                        if [[ $WHY != "${TOLD:-}" ]]; then
                            TOLD=$WHY
                            tell waiting text "$WHY"
                        fi
                    fi
                    now_ms
                    next_check=$((NOW_MS + INTERVAL_MS))
                fi
            else
                WHY="it is still ${STATE[ActiveState]}/${STATE[SubState]}"
            fi
            if ((NOW_MS - started > TIMEOUT_MS)); then
                CAUSE="not healthy within $((TIMEOUT_MS / 1000)) s: ${WHY:-it did not stay up for $((SETTLE_MS / 1000)) s}"
                return 1
            fi
        fi
        sleep 0.2
        state "$UNIT"
    done
}
