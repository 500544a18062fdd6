# shellcheck shell=bash
# Waits until no activation is under way, or the time is up. Needs lib.sh. Argument: LIMIT_S. Changes nothing.
# Prints "behind JSON" for each activation that it meets (the ledger's line on it; {} where there is none), "waiting" about
# once a second, and at last "free WORD" (the ledger's last word on the last one: good, bad, ...; "-" without one) or "busy".

# is_in_use: is an activation under way, or a migration that one which was cut off has left running?
is_in_use() { is_under_way || [[ $(systemctl show -P ActiveState -- "$MIGRATE_UNIT") == activ* ]]; }

token_now() { systemctl show -P ExecStart -- "$ACTIVATION_UNIT" | sed -n 's/.*activate run \([^ ]*\) .*/\1/p'; }

queue() {
    local until token=none now line word="" nothing="{}"
    now_ms
    until=$((NOW_MS + $1 * 1000))
    while is_in_use; do
        now=$(token_now)
        if [[ $now != "$token" ]]; then
            token=$now line=""
            # The line is the first thing that it writes.
            for _ in {1..20}; do
                [[ -z $token ]] || line=$(ledger_lines "\"token\":\"$token\"" | sed -n 1p)
                [[ -z $line ]] || break
                is_under_way || break
                sleep 0.1
            done
            printf 'behind %s\n' "${line:-$nothing}"
        fi
        now_ms
        if ((NOW_MS >= until)); then
            echo busy
            return 0
        fi
        echo waiting
        sleep 1
    done
    [[ -z $token ]] || word=$(ledger_lines "\"token\":\"$token\"" | sed -nE 's/.*"event":"([a-z]+)".*/\1/p' | tail -n 1)
    printf 'free %s\n' "${word:--}"
}

queue "$@"
