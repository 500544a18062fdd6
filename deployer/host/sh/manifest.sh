# shellcheck shell=bash
# The manifest of the committed release. Needs lib.sh.

manifest() {
    local id
    id=$(committed_id)
    [[ -n $id && -e $ROOT/releases/$id/.deployer/manifest.json ]] ||
        fail absent "$APP has no committed release on this host" "deployer deploy"
    cat -- "$ROOT/releases/$id/.deployer/manifest.json"
}

manifest
