# shellcheck shell=bash
# Where the journal ends now. Needs lib.sh.

printf 'cursor %s\n' "$(journal_cursor)"
