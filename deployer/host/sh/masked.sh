# shellcheck shell=bash
# Values that were delivered, hidden in what is kept of what an app said. Needs lib.sh.

# masked: copies standard input, a line at a time, with every value of the environments on this host as ***. By the rules
# of deployer/masking.py: values of six characters and more, each line of one that has several, the longest first; not the
# names by which the app is known. No value is in an argument or in the environment of a process.
masked() {
    local file files=() user
    for file in "$ENV_PATH" "$ROOT"/releases/*/.deployer/env; do
        [[ ! -f $file ]] || files+=("$file")
    done
    user=$(sed -n 's/^User=//p' "$ROOT/releases/${ID:-}/.deployer/trial.service" 2>/dev/null || true)
    # An end to it, were there very many values and lines.
    # shellcheck disable=SC2016 # the fields are awk's
    SPARED="$APP"$'\n'"$UNIT"$'\n'"$ROOT"$'\n'"$user"$'\n'"${HOSTNAME:-}" timeout 60 awk '
        function known(value,    bare) {
            bare = value
            gsub(/[\200-\277]/, "", bare) # characters, not bytes
            if (length(bare) < 6 || value in seen) return
            seen[value]
            if (length(value) > longest) longest = length(value)
            of_size[length(value), ++count[length(value)]] = value
        }
        function take(value,    lines, i) {
            if (value !~ /\n/) known(value)
            gsub(/\r|\013|\014|\034|\035|\036|\302\205|\342\200\250|\342\200\251/, "\n", value)
            for (i = split(value, lines, "\n"); i; i--) known(lines[i])
        }
        function hidden(line,    done, i, at, first, size) {
            for (;;) {
                first = 0
                for (i = 1; i <= n; i++)
                    if ((at = index(line, values[i])) && (!first || at < first)) { first = at; size = length(values[i]) }
                if (!first) return done line
                done = done substr(line, 1, first - 1) "***"
                line = substr(line, first + size)
            }
        }
        BEGIN {
            for (i = split(ENVIRON["SPARED"], spared, "\n"); i; i--) seen[spared[i]]
        }
        reading {
            # As deployer/env/systemd.py writes them; of a file that a person has edited, whole lines in other quotes or none.
            rest = $0
            if (!inside) {
                if (!sub(/^[ \t]*[A-Za-z_][A-Za-z0-9_]*[ \t]*=[ \t]*/, "", rest)) next
                if (!sub(/^"/, "", rest)) {
                    sub(/[ \t\r]+$/, "", rest)
                    gsub(/^\047|\047$/, "", rest)
                    take(rest)
                    next
                }
                inside = 1
                value = ""
            }
            while (match(rest, /[\\"]/)) {
                value = value substr(rest, 1, RSTART - 1)
                if (substr(rest, RSTART, 1) == "\"") {
                    take(value)
                    inside = 0
                    next
                }
                char = substr(rest, RSTART + 1, 1)
                value = value (char != "" && index("\"\\`$", char) ? char : "\\" char)
                rest = substr(rest, RSTART + 2)
            }
            value = value rest "\n"
            next
        }
        !begun {
            begun = 1
            for (size = longest; size; size--) for (i = 1; i <= count[size]; i++) values[++n] = of_size[size, i]
        }
        { print hidden($0) }' reading=1 "${files[@]}" reading= -
}
