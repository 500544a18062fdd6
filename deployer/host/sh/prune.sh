# shellcheck shell=bash
# Which releases may go. Needs lib.sh. Order comes from the ledger, never from a file's time.

# release_ids: prints the ids of all complete releases of ours; a directory without our mark is not ours.
release_ids() {
    local directory
    for directory in "$ROOT"/releases/*/; do
        directory=${directory%/}
        [[ -f $directory/.deployer/identity && ! -L $directory ]] && printf '%s\n' "${directory##*/}"
    done
    return 0
}

# ids_by_ledger EVENT...: prints ids in the order of their last such event, newest first.
ids_by_ledger() {
    local events
    [[ -e $LEDGER ]] || return 0
    events=$(IFS='|'; printf '%s' "$*")
    grep -aE "\"event\":\"($events)\".*}$" "$LEDGER" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p' | tac | awk '!seen[$0]++'
}

# good_stack: prints the ids of releases that proved themselves, the latest first. A deploy puts its release on top, a
# rollback takes off whatever lies above its target (as Facts.good_stack of the client has it).
good_stack() {
    [[ -e $LEDGER ]] || return 0
    awk '
        !/"event":"good".*}$/ { next }
        {
            id = $0; sub(/.*"id":"/, "", id); sub(/".*/, "", id)
            at = 0
            for (i = 1; i <= n; i++) if (stack[i] == id) at = i
            if (at && /"why":"rollback"/) { n = at; next }
            if (at) { for (i = at; i < n; i++) stack[i] = stack[i + 1]; n-- }
            stack[++n] = id
        }
        END { for (i = n; i; i--) print stack[i] }' "$LEDGER"
}

# ways_back: prints those of the good stack that are still here.
ways_back() {
    local id
    while IFS= read -r id; do
        [[ -d $ROOT/releases/$id ]] && printf '%s\n' "$id"
    done < <(good_stack)
    return 0
}

# rollback_target: prints the last good release before the committed one that is still here, if there is one.
rollback_target() {
    local id current
    current=$(committed_id)
    while IFS= read -r id; do
        [[ $id == "$current" ]] && continue
        printf '%s\n' "$id"
        return 0
    done < <(ways_back)
}

# in_use: prints the ids of releases that some process runs from.
in_use() {
    # One process for all: a readlink for each link takes a second on a small host. Processes may end meanwhile.
    { find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*' \( -name cwd -o -name exe \) -lname "$ROOT/releases/*" \
        -printf '%l\n' 2>/dev/null || true; } | cut -c "$((${#ROOT} + 11))-" | cut -d / -f 1 | sort -u
}

# prunable KEEP: prints the ids that may go: not committed, not the good one before, not pinned, not in use, not under
# way, and neither among the KEEP newest nor among the KEEP latest ways back.
prunable() {
    local keep=$1 id n=0 current previous used ways order
    current=$(committed_id)
    previous=$(rollback_target)
    used=$(in_use)
    # A row of bad ones takes no place from them. Not head: it would leave its writer with a broken pipe.
    ways=$(ways_back | awk -v keep="$keep" 'NR <= keep')
    order=$(
        ids_by_ledger good bad interrupted staged
        release_ids
    )
    # The committed one and the one before take two of the places.
    while IFS= read -r id; do
        [[ -n $id && -d $ROOT/releases/$id ]] || continue
        n=$((n + 1))
        ((n <= keep)) && continue
        grep -qxF -- "$id" <<<"$ways" && continue
        [[ $id == "$current" || $id == "$previous" || $id == "${ID:-}" ]] && continue
        [[ -e $ROOT/releases/$id/.deployer/pinned ]] && continue
        grep -qxF -- "$id" <<<"$used" && continue
        printf '%s\n' "$id"
    done < <(awk '!seen[$0]++' <<<"$order")
}

# prune KEEP: removes them; each is renamed first, so that a cut leaves no half release under a good name.
prune() {
    local id
    for id in $(prunable "$1"); do
        mv -T -- "$ROOT/releases/$id" "$ROOT/releases/.pruned-$id" || return 1
        sync -- "$ROOT/releases"
        rm -rf --one-file-system -- "$ROOT/releases/.pruned-$id"
        ledger event pruned id "$id"
        printf '%s\n' "$id"
    done
    rm -rf --one-file-system -- "$ROOT"/releases/.pruned-*
}
