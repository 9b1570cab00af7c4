#!/usr/bin/env bash
# `anmok server` in the background, for `make start` and its kin: server.sh start|stop|restart|status|logs|ui [FLAGS...]
# Its process id is in logs/server.pid and what it says in logs/server.log; flags are those of `anmok server`.
set -euo pipefail
cd "$(dirname "$0")/.."

pid_file=logs/server.pid
log=logs/server.log
program=${CARGO_TARGET_DIR:-target}/release/anmok

# The process id, if it is still an anmok's: ids are used again after a restart of the machine.
running() {
    local pid
    pid=$(cat "$pid_file" 2>/dev/null) || return 1
    [ -n "$pid" ] && ps -p "$pid" -o command= 2>/dev/null | grep -q 'anmok server' && echo "$pid"
}

# Where it listens, in its own words.
address() { sed -n 's|.*listening at \(http://[^, ]*\).*|\1|p' "$log" 2>/dev/null | tail -n 1; }

start() {
    local pid
    if pid=$(running); then
        echo "already running: process $pid, $(address)"
        return
    fi
    cargo build --release --locked --quiet
    mkdir -p logs
    : >"$log"
    nohup "$program" server "$@" >>"$log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$pid_file"
    for _ in $(seq 100); do
        if ! kill -0 "$pid" 2>/dev/null; then
            cat "$log" >&2
            rm -f "$pid_file"
            return 1
        fi
        if [ -n "$(address)" ]; then
            echo "running: process $pid, $(address); make logs, make stop"
            return
        fi
        sleep 0.1
    done
    echo "started as process $pid, but not listening after 10 s: see $log" >&2
    return 1
}

stop() {
    local pid
    if ! pid=$(running); then
        rm -f "$pid_file"
        echo "not running"
        return
    fi
    kill "$pid"
    # Requests under way have 30 s.
    for _ in $(seq 350); do
        if ! kill -0 "$pid" 2>/dev/null; then
            rm -f "$pid_file"
            echo "stopped"
            return
        fi
        sleep 0.1
    done
    echo "process $pid is still finishing requests after 35 s: kill -9 $pid ends it, and loses nothing that was acknowledged" >&2
    return 1
}

status() {
    local pid
    if pid=$(running); then
        echo "running: process $pid, $(address)"
    else
        echo "not running"
        return 3
    fi
}

command=${1:-}
shift || true
case $command in
    start | stop | status) "$command" "$@" ;;
    restart) stop && start "$@" ;;
    logs) exec tail -n 100 -F "$log" ;;
    ui) stop && start --ui-bundle auto "$@" ;;
    *)
        echo "usage: scripts/server.sh start|stop|restart|status|logs|ui [flags of anmok server]" >&2
        exit 2
        ;;
esac
