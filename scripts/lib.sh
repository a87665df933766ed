# Shared by scripts/demo and scripts/test: says what happens, installs what is missing, builds.
# Sourced, never run; the caller has set -euo pipefail and stands in the repository.

CMAKE_WANTED=3.25

# What a build needs, as command:package, and libraries by package.
TOOLS=(c++:g++ cmake:cmake ninja:ninja-build pkg-config:pkg-config python3:python3 ccache:ccache)
LIBRARIES=(libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libsodium-dev libhwy-dev
           libexpat1-dev libhwloc-dev libgtest-dev libgmock-dev libbenchmark-dev)

step() { printf '\n[%4ds] %s\n' "$SECONDS" "$*"; }
say() { printf '        %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# How many compilers at once: one a core, as far as there are 1.5 GiB of memory for each.
job_count() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ {print int($2 / 1572864)}' /proc/meminfo)
  ((memory >= 1)) || memory=1
  echo "${TUTTI_JOBS:-$((cores < memory ? cores : memory))}"
}

# How many tests at once: half as many again as there are cores, because tests wait a good deal.
# Those with many ranks take several of these slots.
test_jobs() {
  local cores
  cores=$(nproc)
  ((cores < 8)) || cores=8
  echo "${TUTTI_JOBS:-$((cores + cores / 2))}"
}

has_package() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }
can_install() { [[ -n $(apt-cache show --no-all-versions "$1" 2>/dev/null) ]]; }

as_root() {
  if ((EUID == 0)); then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    die "needs root for: $* (run it as root, or install sudo)"
  fi
}

apt_install() {
  as_root apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install -y --no-install-recommends "$@" >/dev/null
}

# install_packages p...: installs them; the package lists are fetched only when they are missing or
# stale.
install_packages() {
  local package updated=0
  for package in "$@"; do
    if ! can_install "$package"; then
      say "fetching the package lists (apt-get update)"
      as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
      updated=1
      break
    fi
  done
  if ! apt_install "$@"; then
    ((updated == 0)) || die "apt-get could not install: $*"
    say "once more with fresh package lists"
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
    apt_install "$@" || die "apt-get could not install: $*"
  fi
}

# prerequisites [optional package...]: makes sure that everything is here. Optional packages are
# installed where the distribution has them.
prerequisites() {
  local entry package missing=() optional=()
  for entry in "${TOOLS[@]}"; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
  done
  if ! command -v dpkg-query >/dev/null; then
    ((${#missing[@]} == 0)) || die "not a Debian or Ubuntu: please install ${missing[*]}" \
      "and the libraries ${LIBRARIES[*]} (cmake names those that it does not find)"
    say "not a Debian or Ubuntu: taking what is here"
    return
  fi
  for package in "${LIBRARIES[@]}"; do
    has_package "$package" || missing+=("$package")
  done
  if ((${#missing[@]} > 0)); then
    say "installing: ${missing[*]}"
    install_packages "${missing[@]}"
  else
    say "all packages are here"
  fi
  for package in "$@"; do
    if ! has_package "$package" && can_install "$package"; then optional+=("$package"); fi
  done
  if ((${#optional[@]} > 0)); then
    say "installing: ${optional[*]}"
    apt_install "${optional[@]}" || say "could not install ${optional[*]}; going on without"
  fi
  newer_cmake
}

cmake_version() { cmake --version 2>/dev/null | awk 'NR == 1 {print $3}'; }
at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# Ubuntu 22.04 has CMake 3.22; PyPI has newer ones.
newer_cmake() {
  PATH=/usr/local/bin:$HOME/.local/bin:$PATH
  hash -r
  local found
  found=$(cmake_version)
  if at_least "$found" "$CMAKE_WANTED"; then return; fi
  say "CMake $found is older than $CMAKE_WANTED: installing a newer one with pip"
  python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
  python3 -m pip install --quiet "cmake>=$CMAKE_WANTED,<4" || die "pip could not install cmake"
  hash -r
  at_least "$(cmake_version)" "$CMAKE_WANTED" || die "CMake is still $(cmake_version); see PATH"
}

# configure <preset> and build <preset> [target]: quiet while all is well, the whole log when not.
configure() {
  local log=build/$1/configure.log
  mkdir -p "build/$1"
  if ! cmake --preset "$1" >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
  grep -E 'backends' "$log" | sed 's/^-- Tutti: /        /' || true
}

build() {
  local preset=$1 log=build/$1/build.log
  local arguments=(--build "build/$preset" --parallel "$(job_count)")
  [[ -z ${2:-} ]] || arguments+=(--target "$2")
  if [[ -t 1 ]]; then
    cmake "${arguments[@]}"  # a terminal gets ninja's own progress line
  elif ! cmake "${arguments[@]}" >"$log" 2>&1; then
    grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking|Creating)' "$log" >&2 || true
    return 1
  fi
}
