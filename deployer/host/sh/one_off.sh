# shellcheck shell=bash
# A command as the service would run it: its user, environment, directories and sandbox, from the committed release.
# Needs lib.sh. Arguments: MODE NAME COMMAND.
# MODE pty prepares and prints "command TEXT", which the client then runs on a terminal; MODE pipe prints "begins", then
# what the command says on its standard output and error, and ends with its status.

one_off() {
    local mode=$1 name=$2 command=$3 id release words settings directory=/run/systemd/system/$OURS:run-.service.d
    id=$(committed_id)
    [[ -n $id && -d $ROOT/releases/$id ]] || fail absent "$APP has no committed release on this host" "deployer deploy"
    release=$ROOT/releases/$id
    # The committed environment, as the service reads it; everything else as the release was tried.
    # Without the drop-in it would run as root, and outside of the sandbox.
    settings=$(sed "s|^EnvironmentFile=.*|EnvironmentFile=$ENV_PATH|" "$release/.deployer/one-off.conf") && [[ -n $settings ]] ||
        fail host "the release $id lacks its .deployer/one-off.conf" "deployer deploy"
    if ! { directory 0755 "$directory" && {
        cmp -s - "$directory/50-release.conf" <<<"$settings" ||
            { put_text 0644 "$settings"$'\n' "$directory/50-release.conf" && manager daemon-reload; }
    }; }; then
        fail host "the command could not be set up: $(df -h --output=avail -- /run | tail -n 1 | tr -d ' ') free on /run" "look at the host: df -h /run"
    fi
    # systemd would put values of variables into the command's text, quotes and all, if "$" were not doubled.
    words=(systemd-run --quiet --wait --collect "--$mode" --unit="$OURS:run-$name.service"
        --description="One-off command of $APP" -- /bin/sh -c "cd '$release' && ${command//\$/\$\$}")
    if [[ $mode == pty ]]; then
        printf 'command %s\n' "${words[*]@Q}"
    else
        echo begins
        exec "${words[@]}" 2>&1
    fi
}

one_off "$@"
