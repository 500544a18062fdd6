# shellcheck shell=bash
# Marks that people set: pins of releases, the freeze of an app, and pruning on request. Needs lib.sh and prune.sh.
# Arguments: pin|unpin ID WHO · freeze REASON UNTIL_S WHO · thaw WHO · prune KEEP PLAN_ONLY(yes|no)

mark() {
    local verb=$1 release
    shift
    case $verb in
        pin | unpin)
            release=$ROOT/releases/$1/.deployer
            [[ -d $release ]] || fail host "there is no release $1 on this host" "deployer releases"
            if [[ $verb == pin ]]; then : >"$release/pinned"; else rm -f -- "$release/pinned"; fi
            sync -- "$release"
            ledger event "${verb}ned" id "$1" who "$2"
            ;;
        freeze)
            [[ -d $ROOT ]] || fail host "$APP has never been deployed to this host" "deployer deploy"
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
