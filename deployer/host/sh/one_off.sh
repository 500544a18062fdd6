# shellcheck shell=bash
# A command as the service would run it: its user, environment, directories and sandbox, from the committed release.
# Needs lib.sh. Arguments: MODE NAME COMMAND.
# MODE pty prepares and prints "command TEXT", which the client then runs on a terminal; MODE pipe prints "begins", then
# what the command says on its standard output and error, and ends with its status.

one_off() {
    local mode=$1 name=$2 command=$3 id release words directory=/run/systemd/system/$OURS:run-.service.d
    id=$(committed_id)
    [[ -n $id && -d $ROOT/releases/$id ]] || fail host "$APP has no committed release on this host" "deployer deploy"
    release=$ROOT/releases/$id
    # The committed environment, as the service reads it; everything else as the release was tried.
    directory 0755 "$directory"
    if ! sed "s|^EnvironmentFile=.*|EnvironmentFile=$ENV_PATH|" "$release/.deployer/one-off.conf" |
        cmp -s - "$directory/50-release.conf"; then
        put 0644 <(sed "s|^EnvironmentFile=.*|EnvironmentFile=$ENV_PATH|" "$release/.deployer/one-off.conf") "$directory/50-release.conf"
        systemctl daemon-reload
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
