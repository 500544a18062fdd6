# shellcheck shell=bash
# The control groups of a machine: a tree of its own for each host. With --keep-unit the guest's systemd builds its
# slices below its caller's group, where it would meet the next guest's.

# Version 2 alone, or the two trees of a hybrid machine.
hierarchies=()
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [[ ! -e $hierarchy/cgroup.procs ]] || hierarchies+=("$hierarchy")
done

# join_group GROUP: put this process there.
join_group() {
    local hierarchy
    for hierarchy in "${hierarchies[@]}"; do
        mkdir -p "$hierarchy/$1"
        echo "$BASHPID" >"$hierarchy/$1/cgroup.procs"
    done
}

# drop_group GROUP: remove an empty group and those below it.
drop_group() {
    local hierarchy
    for hierarchy in "${hierarchies[@]}"; do
        [[ ! -d $hierarchy/$1 ]] || find "$hierarchy/$1" -depth -type d -exec rmdir {} +
    done
}
