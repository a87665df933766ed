#!/usr/bin/env bash
# Installs a build into a staging prefix, moves the prefix, and uses it as a stranger would: CMake's
# find_package, then pkg-config and a plain C compiler. Also looks at what libtutti.so exports.
#   install_consumer.sh <build dir> <scratch dir> [cmake]
set -euo pipefail

build=$1
scratch=$2
cmake=${3:-cmake}
here=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}

fail() { echo "install_consumer: $*" >&2; exit 1; }

rm -rf "$scratch"
mkdir -p "$scratch"
"$cmake" --install "$build" --prefix "$scratch/first" >"$scratch/install.log" ||
  { cat "$scratch/install.log"; fail "cmake --install failed"; }
mv "$scratch/first" "$scratch/prefix"  # nothing installed may know where it was
prefix=$scratch/prefix

echo "1. find_package(Tutti)"
"$cmake" -S "$here/consumer" -B "$scratch/consumer" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_BUILD_TYPE=Release >"$scratch/configure.log" 2>&1 ||
  { cat "$scratch/configure.log"; fail "a consumer cannot be configured"; }
"$cmake" --build "$scratch/consumer" >"$scratch/build.log" 2>&1 ||
  { cat "$scratch/build.log"; fail "a consumer cannot be built"; }
version=$("$scratch/consumer/consumer_c")
[[ $("$scratch/consumer/consumer_cxx") == "$version" ]] || fail "C and C++ see different versions"

echo "2. pkg-config and a C99 compiler"
if command -v pkg-config >/dev/null; then
  pc=$(find "$prefix" -name tutti.pc)
  [[ -n $pc ]] || fail "no tutti.pc"
  export PKG_CONFIG_PATH=${pc%/*}
  read -ra flags <<<"$(pkg-config --cflags --libs tutti)"
  libdir=$(pkg-config --variable=libdir tutti)
  "$cc" -std=c99 -pedantic -Wall -Wextra -Werror "$here/consumer/consumer.c" \
    "${flags[@]}" -o "$scratch/plain"
  [[ $(LD_LIBRARY_PATH=$libdir "$scratch/plain") == "$version" ]] || fail "another version"
else
  echo "   passed over: no pkg-config"
fi

echo "3. what libtutti.so exports and needs"
library=$(find "$prefix" -name 'libtutti.so.0.*' -type f)
[[ -n $library ]] || fail "no libtutti.so.0.*"
strangers=$(nm -D --defined-only "$library" | awk '$2 != "A" && $3 !~ /^tutti[A-Z]/ {print $3}')
[[ -z $strangers ]] || fail "exports more than the C API: $strangers"
readelf -d "$library" | grep -q 'SONAME.*\[libtutti\.so\.0\]' || fail "SONAME is not libtutti.so.0"
! readelf -d "$library" | grep -q TEXTREL || fail "has text relocations"
! readelf -d "$library" | grep -qE 'RPATH|RUNPATH' || fail "libtutti.so carries a run path"
readelf -d "$library" | sed -n 's/.*NEEDED.*\[\(.*\)\]/   needs \1/p'

echo "4. the installed programs find their library"
for program in "$prefix"/bin/*; do
  [[ -x $program ]] || continue
  ldd "$program" | grep -q 'not found' && fail "$program: $(ldd "$program" | grep 'not found')"
  if ldd "$program" | grep -q libtutti; then
    ldd "$program" | grep libtutti | grep -q "$scratch" ||
      fail "$program uses another libtutti: $(ldd "$program" | grep libtutti)"
  fi
done
echo "install_consumer: ok, version $version"
