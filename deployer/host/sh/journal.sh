# shellcheck shell=bash
# The journal of the service and of its migrations, as JSON lines. Needs lib.sh. Arguments: those of journalctl.

matches
# Ends with the client: journalctl watches its standard output, and a closed standard input ends the rest.
exec journalctl --no-pager --quiet --all -o json "${MATCHES[@]}" \
    --output-fields=MESSAGE,PRIORITY,_PID,SYSLOG_IDENTIFIER,_COMM,_SYSTEMD_INVOCATION_ID,INVOCATION_ID,UNIT,_SYSTEMD_UNIT "$@"
