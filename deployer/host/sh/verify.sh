# shellcheck shell=bash
# Does this host's systemd accept the unit of a staged release? Needs lib.sh. Arguments: ID, and the path of
# the user's template that the unit was made of ("" for none).
# systemd-analyze ends with 0 on unknown keys and bad values, so any word about our unit counts.

verify() {
    local said status=0 ours others
    mkdir -p -- "$RUN_DIR"
    directory=$(mktemp -d -p "$RUN_DIR")
    trap 'rm -rf -- "$directory"' EXIT
    cp -- "$ROOT/releases/$1/.deployer/trial.service" "$directory/$UNIT"
    # Without our comment above them, the lines of a template have their own numbers.
    [[ -z $2 ]] || sed -i '1{/^# Written by deployer/d}' -- "$directory/$UNIT"
    said=$(systemd-analyze --no-pager verify "$directory/$UNIT" 2>&1 >/dev/null </dev/null) || status=$?
    # What it says about other units of the host is theirs: "/lib/systemd/system/other.service:7: …".
    others=$(grep -E '^/[^:]*/system/[^:]*\.[a-z]+(\.d/[^:]*)?:[0-9]+:' <<<"$said" | grep -vF -- "$directory/" || true)
    ours=$(grep -vxF -f <(printf '%s\n' "$others") <<<"$said" | sed "s|$directory/||g" || true)
    [[ -z $2 ]] || ours=${ours//"$UNIT:"/"${2##*/}:"}
    [[ -n $others ]] && printf 'warning %s\n' "$(printf '%s' "$others" | base64 -w 0)"
    if [[ -n $ours ]] || { ((status != 0)) && [[ -z $others ]]; }; then
        fail unit "systemd on this host does not accept the unit: ${ours:-systemd-analyze verify ended with status $status}" \
            "correct ${2:-[service] in the config} (deployer unit shows the text)"
    fi
    echo verified
}

verify "$1" "${2-}"
