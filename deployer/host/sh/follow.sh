# shellcheck shell=bash
# Prints the events of an activation as they come, until its last. Needs lib.sh.
# Arguments: TOKEN ("" for the one under way), FROM (how many events the client has already).
# Prints "idle TIME" where none is under way (the last one is told, which ended then), "token TOKEN ID", "event JSON" lines, then "evidence BASE64" of a failed start, then "over CURRENT VERDICT": the committed release
# and the ledger's last word on this activation ("none" where it never began), for a client that missed the last event.

# is_being_launched TOKEN: is there a process that has just been asked to start it? Its client may have lost the link.
is_being_launched() { grep -qsF -f <(printf '%s' "$1") /proc/[0-9]*/cmdline; }

follow() {
    local token=$1 from=$2 file line part="" n=0 over="" verdict evidence
    if [[ -z $token ]]; then
        # From the unit itself where there is one: a moment after its start the newest events are still those of before.
        token=$(systemctl show -P ExecStart -- "$ACTIVATION_UNIT" | sed -n 's/.*activate run \([^ ]*\) .*/\1/p')
        [[ -n $token ]] || token=$(find "$RUN_DIR" -name '*.events' -printf '%T@ %f\n' 2>/dev/null | sort -rn | sed -n '1s/^[^ ]* \(.*\)\.events$/\1/p') || true
        if ! is_under_way && [[ ! -e $MARKER ]]; then
            [[ -n $token ]] || fail idle "no activation of $APP is under way" "deployer status"
            printf 'idle %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ -r "$RUN_DIR/$token.events")"
        fi
    fi
    printf 'token %s %s\n' "$token" "$(ledger_lines "\"token\":\"$token\"" | sed -n '1s/.*"id":"\([^"]*\)".*/\1/p')"
    file=$RUN_DIR/$token.events
    for _ in {1..100}; do
        [[ -e $file ]] && break
        is_under_way || is_being_launched "$token" || break
        sleep 0.1
    done
    if [[ -e $file ]]; then
        exec 5<"$file"
        while [[ -z $over ]]; do
            # One look more after the unit has ended: its last words may come after the question.
            is_under_way || over=yes
            while IFS= read -r -u 5 line || { part+=$line && false; }; do
                line=$part$line part=""
                n=$((n + 1))
                ((n > from)) && printf 'event %s\n' "$line"
                [[ $line == '{"event":"end"'* ]] && over=yes
            done
            [[ -n $over ]] || sleep 0.15
        done
    fi
    # Its unit cleans up behind it, in a moment. As long as that is there, whoever comes next is refused.
    for _ in {1..50}; do
        is_under_way || break
        sleep 0.1
    done
    evidence=$(find "$ROOT"/releases/*/.deployer/evidence -name "$token.journal" 2>/dev/null | head -n 1) || true
    [[ -n $evidence ]] && printf 'evidence %s\n' "$(tail -n 40 -- "$evidence" | base64 -w 0)"
    verdict=$(ledger_lines "\"token\":\"$token\"" | sed -nE 's/.*"event":"(good|bad|interrupted|activating)".*/\1/p' | tail -n 1) || true
    # Its unit is gone, and what it would have finished or undone is still there. On a host that goes down that is meant.
    if ! is_under_way && ! is_going_down && [[ -e $MARKER || -e $WRITE_AHEAD ]]; then verdict=stuck; fi
    printf 'over %s %s\n' "$(committed_id | grep . || echo -)" "${verdict:-none}"
}

follow "$@"
