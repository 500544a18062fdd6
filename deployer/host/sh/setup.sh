# shellcheck shell=bash
# Prepares a host once: the service's user, our directories, and on request a rule that lets the deploy user become root.
# Needs lib.sh. Arguments: USER HOME SUDO_FOR PLAN_ONLY(yes|no). Prints "did TEXT" or "would TEXT" lines.

setup() {
    local user=$1 home=$2 sudo_for=$3 plan=$4 rule path problem
    problem=$(not_ours_alone)
    [[ -z $problem ]] || fail write "$problem" "on the host: chown root:root and chmod go-w it; or set [app] root to another directory"
    step() { # step TEXT COMMAND...
        local text=$1
        shift
        if [[ $plan == yes ]]; then printf 'would %s\n' "$text"; else
            "$@" || fail write "could not $text" "look at the file system of the host"
            printf 'did %s\n' "$text"
        fi
    }
    if ! id -u -- "$user" >/dev/null 2>&1; then
        step "add the system user $user" useradd --system --user-group --home-dir "$home" --no-create-home --shell /usr/sbin/nologin -- "$user"
    fi
    for path in "$ROOT" "$ROOT/releases"; do
        [[ -d $path ]] || step "make $path (root, 0755)" directory 0755 "$path"
    done
    [[ -d $ROOT/incoming ]] || step "make $ROOT/incoming (root, 0700)" directory 0700 "$ROOT/incoming"
    if [[ -n $sudo_for && $sudo_for != root ]]; then
        rule=/etc/sudoers.d/deployer-${sudo_for//[^A-Za-z0-9_-]/_}
        if [[ ! -e $rule ]]; then
            sudo_rule() {
                printf '%s ALL=(root) NOPASSWD: ALL\n' "$sudo_for" >"$rule.new" &&
                    { ! command -v visudo >/dev/null || visudo -cqf "$rule.new"; } &&
                    chmod 0440 "$rule.new" && sync "$rule.new" && mv -fT "$rule.new" "$rule"
            }
            step "let $sudo_for become root without a password ($rule)" sudo_rule
        fi
    fi
}

setup "$@"
