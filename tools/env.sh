# Sourced by every script here: where things are, and how a script speaks.
#
# What is built lies outside the project, so a fresh checkout finds it again.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${PILOTHOUSE_CACHE:-$HOME/.cache/pilothouse}
DATA=${PILOTHOUSE_DATA_DIR:-$HOME/.local/share/pilothouse}
export CARGO_TARGET_DIR=$CACHE/target
# It would replace the flags in .cargo/config.toml and so rebuild everything, twice.
unset RUSTFLAGS
export SQLX_OFFLINE=true
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
export CARGO_TERM_PROGRESS_WHEN=never

SITE=$CACHE/site
TOOLS=$CACHE/tools
PATH=$TOOLS/bin:$HOME/.cargo/bin:$PATH

# One line for each thing that is done.
say() { printf '%s\n' "$*"; }

# What cannot be done here, and what to do by hand.
give_up() {
    printf 'pilothouse: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# True when the first file is there and none of the others is newer.
newer_than_all() {
    local made=$1
    shift
    [[ -e $made ]] && [[ -z $(find "$@" -newer "$made" -print -quit 2>/dev/null) ]]
}

# The process of a pid file, if it runs and is the program that is named: numbers are used again.
running() {
    local pid_file=$1 program=$2 pid
    pid=$(cat "$pid_file" 2>/dev/null) || return 1
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    [[ $(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | head -n 1) == */"$program" ]] || return 1
    printf '%s\n' "$pid"
}

# A process that ended but was not yet collected has no command line any more.
alive() { [[ -n $(tr -d '\0' 2>/dev/null <"/proc/$1/cmdline") ]]; } 2>/dev/null

# Asks a process to end, and insists after so many seconds.
end_process() {
    local pid=$1 tenths=$(($2 * 10))
    kill -TERM "$pid" 2>/dev/null || return 0
    while alive "$pid"; do
        ((tenths-- > 0)) || {
            kill -KILL "$pid" 2>/dev/null || true
            return 0
        }
        sleep 0.1
    done
}
