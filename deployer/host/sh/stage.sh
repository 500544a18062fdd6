# shellcheck shell=bash
# Puts a complete, verified release directory on the host, without touching what runs. Safe to cut off and to repeat.
# Needs lib.sh. Arguments: ID DIGEST SIZE STRIP USER UNPACKED_BYTES MEMBERS COPY_FROM; variables: DOT (the files of .deployer as a base64
# tar.gz), VERSION, REVISION (of the source, if known) and WHO for the ledger, STALL_S (how long a client may be silent). Prints "phase NAME", "offset N" (then the tarball's bytes from N on are read from
# standard input),and "staged ID".

INCOMING=$ROOT/incoming
: "${DOT:?}" "${VERSION:?}" "${WHO:?}" "${REVISION=}" "${STALL_S:?}"

# room BYTES INODES: is there place for them?
room() {
    local bytes inodes
    bytes=$(df --output=avail -B 1 -- "$ROOT" | tail -n 1 | tr -d ' ')
    inodes=$(df --output=iavail -- "$ROOT" | tail -n 1 | tr -d ' ')
    if ((bytes < $1)); then
        fail disk "$ROOT has $((bytes >> 20)) MiB free, and this release needs $((($1 >> 20) + 1)) MiB" "deployer prune, or make room"
    fi
    # Some file systems have no fixed number of inodes and say 0 or "-".
    if [[ $inodes =~ ^[1-9][0-9]*$ ]] && ((inodes < $2)); then
        fail disk "$ROOT has $inodes inodes free, and this release needs $2" "deployer prune, or make room"
    fi
}

# staged_meanwhile: ends with the name of whoever was quicker, where the release has come to be.
staged_meanwhile() {
    local who=""
    [[ -e $ROOT/releases/$ID ]] || return 0
    who=$(ledger_lines '"event":"staged"' | grep -aF "\"id\":\"$ID\"" | tail -n 1 | sed -n 's/.*"who":"\([^"]*\)".*/\1/p') || true
    fail busy "$ID has just been staged by ${who:-somebody else}" "run the same command again: it goes on from there"
}

# open_part: the file of the upload on descriptor 8, locked; one upload of the same tarball at a time.
open_part() {
    PART=$INCOMING/$DIGEST.part
    while :; do
        [[ ! -L $PART ]] || rm -f -- "$PART"
        exec 8>>"$PART"
        if ! flock -n 8; then
            echo phase wait
            flock -w $((STALL_S + 5)) 8 || fail busy "the same tarball is being uploaded by somebody else right now" "run the same command again in a while"
        fi
        staged_meanwhile
        # Who had the lock before may have removed the file: then this is a lock on one that nobody else sees.
        [[ ! $PART -ef /dev/fd/8 ]] || return 0
    done
}

# take_in: standard input, until it ends or nothing has come for STALL_S. A client behind a dead link never ends it, and
# its lock would keep the next one out for hours.
take_in() {
    local taker guard status=0
    cat <&0 >&8 &
    taker=$!
    (
        exec >/dev/null 2>&1 8>&- 9>&- </dev/null
        size=-1
        for ((quiet = 0; quiet < STALL_S; quiet++)); do
            sleep 1
            last=$size size=$(stat -c %s -- "$PART")
            ((size == last)) || quiet=0
        done
        kill "$taker"
    ) &
    guard=$!
    disown "$guard"
    wait "$taker" || status=$?
    # By KILL: one that has just been forked still has our traps, and would remove the staging directory.
    kill -KILL "$guard" 2>/dev/null || true
    ((status == 0 || status > 128)) ||
        fail disk "the upload to $PART stopped: $(df -h --output=avail -- "$ROOT" | tail -n 1 | tr -d ' ') free on $ROOT" "make room on the host, then run the same command again: it goes on from there"
}

# receive: the tarball, from where an earlier upload stopped, checked against its digest.
receive() {
    local have got
    open_part
    have=$(stat -c %s -- "$PART")
    if ((have > SIZE)); then
        truncate -s 0 -- "$PART"
        have=0
    fi
    room $((SIZE - have + UNPACKED + UNPACKED / 50 + 16777216)) $((MEMBERS + 64))
    printf 'phase upload\noffset %s\n' "$have"
    if ((have < SIZE)); then
        take_in
    fi
    sync -- "$PART"
    have=$(stat -c %s -- "$PART")
    ((have == SIZE)) || fail cut "the upload stopped at $have of $SIZE bytes" "run the same command again: it goes on from there"
    got=$(sha256sum <"$PART")
    if [[ ${got%% *} != "$DIGEST" ]]; then
        rm -f -- "$PART"
        fail digest "the uploaded bytes have another sha256 (${got%% *}) than the tarball" "run the same command again: it starts anew"
    fi
}

# unpack: the tree, as root's, readable for the service's group and nobody else.
unpack() {
    local flags=(--extract --no-same-owner --no-same-permissions --directory "$STAGING" --strip-components "$STRIP") errors
    echo phase unpack
    [[ $(head -c 2 -- "$1" | od -An -tx1) == " 1f 8b" ]] && flags+=(--gzip)
    if ! errors=$( (umask 022 && tar "${flags[@]}" --file "$1") 2>&1); then
        fail unpack "tar could not unpack the release: $(tail -n 3 <<<"$errors")" "look at the disk of the host, then run the same command again"
    fi
}

stage() {
    ID=$1 DIGEST=$2 SIZE=$3 STRIP=$4 USER_NAME=$5 UNPACKED=$6 MEMBERS=$7
    local copy_from=$8 release=$ROOT/releases/$1 group directory problem odd
    problem=$(not_ours_alone)
    [[ -z $problem ]] || fail write "$problem" "on the host: chown root:root and chmod go-w it; or set [app] root to another directory"
    group=$(id -gn -- "$USER_NAME" 2>/dev/null) || fail user "there is no user $USER_NAME on this host" "deployer setup"
    for directory in "$ROOT" "$ROOT/releases"; do
        directory 0755 "$directory" || fail write "$directory cannot be made" "look at the file system of the host (read-only?)"
    done
    directory 0700 "$INCOMING" || fail write "$INCOMING cannot be made" "look at the file system of the host (read-only?)"
    sweep_stagings
    # Uploads that nobody came back for.
    find "$INCOMING" -maxdepth 1 -type f -name '*.part' -mtime +7 -delete
    STAGING=$(mktemp -d "$ROOT/releases/.staging-XXXXXXXX") || fail write "$ROOT/releases cannot be written to" "look at the file system of the host (read-only? full?)"
    # Once it has its name it is no longer ours to remove. Only this shell: a subshell that is ended right after its fork
    # (the guard of a small upload) still runs the traps of its parent.
    trap '[[ $BASHPID != "$$" ]] || rm -rf --one-file-system -- "$STAGING"' EXIT
    trap 'exit 129' HUP TERM INT
    exec 9<"$STAGING"
    flock -n 9
    if [[ -n $copy_from ]]; then
        room 16777216 $((MEMBERS + 64))
        echo phase copy
        # Hard links: a release is never written to, so two may share their files.
        cp -al -- "$ROOT/releases/$copy_from/." "$STAGING/" || fail write "the tree of $copy_from could not be copied" "look at the disk of the host"
        rm -rf -- "$STAGING/.deployer"
    else
        receive
        unpack "$INCOMING/$DIGEST.part"
        # The client judged it before it was sent; the host looks for itself.
        odd=$(find "$STAGING" ! -type f ! -type d ! -type l -print -quit)
        [[ -z $odd ]] || fail unpack "the tarball must not be unpacked: ${odd##*/} is neither file, directory nor link" "leave it out of the tarball"
    fi
    mkdir -m 0700 -- "$STAGING/.deployer"
    printf '%s' "$DOT" | base64 -d | tar --extract --gzip --no-same-owner --preserve-permissions --directory "$STAGING/.deployer"
    chown -- "root:$group" "$STAGING"
    chmod 0750 -- "$STAGING"
    echo phase sync
    sync -f -- "$STAGING"
    staged_meanwhile
    mv -T -- "$STAGING" "$release" || fail busy "$ID has just been staged by somebody else" "run the same command again: it goes on from there"
    sync -- "$ROOT/releases"
    ledger event staged id "$ID" version "$VERSION" digest "$DIGEST" revision "$REVISION" who "$WHO" size= "$UNPACKED"
    [[ -n $copy_from ]] || rm -f -- "$INCOMING/$DIGEST.part"
    printf 'staged %s\n' "$ID"
}

stage "$@"
