#!/bin/sh
# Makes dist/hello-exec-VERSION.tar.gz. Usage: ./build.sh VERSION
set -eu
version=${1:?usage: ./build.sh VERSION}
cd "$(dirname "$0")"
mkdir -p dist
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/hello-exec"
cp -R bin "$tree/hello-exec/"
printf '%s\n' "$version" >"$tree/hello-exec/VERSION"
chmod -R u=rwX,go=rX "$tree/hello-exec"
chmod 0755 "$tree/hello-exec/bin/server" "$tree/hello-exec/bin/migrate"
tar -czf "dist/.building" --owner=0 --group=0 -C "$tree" hello-exec
mv "dist/.building" "dist/hello-exec-$version.tar.gz"
echo "dist/hello-exec-$version.tar.gz"
