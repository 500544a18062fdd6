# shellcheck shell=bash
# Marks that people set: pins of releases, the freeze of an app, and pruning on request. Needs lib.sh and prune.sh.
# Arguments: pin|unpin ID WHO · freeze REASON UNTIL_S WHO · thaw WHO · prune KEEP PLAN_ONLY(yes|no)

# meant TEXT: sets MEANT to the id of the release that is called so, or else begins so.
meant() {
    local path found=()
    [[ $1 == */* ]] || for path in "$ROOT/releases/$1"*/.deployer; do
        [[ ! -d $path ]] || found+=("$(basename -- "${path%/*}")")
    done
    [[ ! -d $ROOT/releases/$1/.deployer || $1 == */* ]] || found=("$1")
    case ${#found[@]} in
        1) MEANT=${found[0]} ;;
        0) fail absent "there is no release $1 on this host" "deployer releases" ;;
        *) fail absent "${#found[@]} releases on this host begin with $1: ${found[*]}" "deployer releases" ;;
    esac
}

mark() {
    local verb=$1 release
    shift
    case $verb in
        pin | unpin)
            meant "$1"
            release=$ROOT/releases/$MEANT/.deployer
            if [[ $verb == pin ]]; then : >"$release/pinned"; elif [[ -e $release/pinned ]]; then rm -- "$release/pinned"; else return 0; fi
            sync -- "$release"
            ledger event "${verb}ned" id "$MEANT" who "$2"
            printf 'marked %s\n' "$MEANT"
            ;;
        freeze)
            [[ -d $ROOT ]] || fail absent "$APP has never been deployed to this host" "deployer deploy"
            json_object who "$3" at "$(utc)" reason "$1" until_s= "${2:-null}"
            put_text 0644 "$JSON"$'\n' "$FROZEN"
            ledger event locked who "$3" reason "$1"
            ;;
        thaw)
            [[ -e $FROZEN ]] || return 0
            printf 'was %s\n' "$(head -n 1 -- "$FROZEN")"
            remove "$FROZEN"
            ledger event unlocked who "$1"
            ;;
        prune)
            mkdir -p -- "$RUN_DIR"
            exec 7>"$RUN_DIR/lock"
            flock -w 60 7 || fail busy "an activation of $APP is being started" "run the same command again"
            is_under_way && fail busy "an activation of $APP is under way" "follow it with: deployer attach"
            if [[ $2 == yes ]]; then prunable "$1"; else prune "$1"; fi | sed 's/^/pruned /'
            ;;
    esac
}

mark "$@"
