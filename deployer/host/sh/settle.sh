# shellcheck shell=bash
# Finishes or undoes an activation that was cut off, before anything new is planned. Needs lib.sh. Prints "settled".
# Done by the program of the release that was under way, or of the one before should that be gone.

settle() {
    local record id hint="follow it with: deployer attach; deploy and rollback wait for its end with --wait 15m"
    mkdir -p -- "$RUN_DIR"
    exec 7>"$RUN_DIR/lock"
    flock -w 60 7 || fail busy "an activation of $APP is being started" "$hint"
    is_under_way && fail busy "an activation of $APP is under way" "$hint"
    for record in "$WRITE_AHEAD" "$MARKER"; do
        [[ -e $record ]] || continue
        while IFS= read -r id; do
            [[ -n $id && -x $ROOT/releases/$id/.deployer/activate ]] || continue
            "$ROOT/releases/$id/.deployer/activate" recover >/dev/null 7>&- ||
                fail stuck "an activation of $APP that was cut off can be neither finished nor undone" \
                    "on the host: df -h / /run $ROOT; journalctl -n 50 -u $ACTIVATION_UNIT"
            break
        done < <(sed -n 's/^\(to\|from\) //p' "$record")
    done
    echo settled
}

settle
