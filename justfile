# `just` lists the recipes. The work is done by cargo and by scripts/.

set positional-arguments

_list:
    @just --list --unsorted

# Compile everything, quickly
check:
    cargo check --workspace --all-targets

# Format the code, fuzz targets too
fmt:
    cargo fmt --all
    if [ -f fuzz/Cargo.toml ]; then cargo fmt --manifest-path fuzz/Cargo.toml; fi

# The lints, as CI has them
lint:
    bash .ci/run format bans lint

# All tests, or those that nextest's arguments choose
test *args:
    @scripts/test "$@"

# Kill the daemon so many times under load, and hold the log against what it had acknowledged
crash kills="200":
    TAILWATER_CRASHES={{ kills }} cargo test --release --test crash -- --nocapture

# Kill, cut and silence the daemon, the server and the way between them for so long, and hold the tables against the log
chaos seconds="120":
    TAILWATER_CHAOS_SECONDS={{ seconds }} scripts/test --test chaos --no-capture

# Use everything for so many minutes under load and misfortune: replays, verifies, mends, trims; in the end all is right and memory flat
soak minutes="60":
    TAILWATER_SOAK_SECONDS=$(({{ minutes }} * 60)) scripts/test --profile soak --test soak --no-capture

# Two hundred readers for so many seconds while 5,000 events a second come in, and the database away for a third of it
load seconds="60":
    TAILWATER_LOAD_SECONDS={{ seconds }} scripts/test --release --test load --no-capture

# Simulate so many seeds, each of them hours; a seed that fails says how to run it again
sim seeds="1000":
    TAILWATER_SIM_SEEDS={{ seeds }} cargo test --release -p tailwater-sim --test simulation -- --nocapture

# Fuzz one target until it fails, or for some seconds
fuzz target seconds="0":
    RUSTC_BOOTSTRAP=1 cargo fuzz run --target-dir target/fuzz {{ target }} -- -max_total_time={{ seconds }}

# The benchmarks, or those that criterion's arguments choose
bench *args:
    cargo bench --workspace --bench '*' -- "$@"

# The real daemon samples fifty agents for so many minutes, beside pgrep and ps: its CPU time and its memory
fleet minutes="10":
    BENCH_FLEET_MINUTES={{ minutes }} cargo bench --bench fleet

# The test database: up, down, reset, status, psql …
db *args="up":
    @scripts/timescaledb "$@"

# Build the documentation
doc:
    bash .ci/run docs

# Everything that CI checks
ci:
    bash .ci/run

# Write what documents have from the code: docs/config.md, and the picture of the dashboard
docs:
    TAILWATER_WRITE_DOCS=1 cargo test --package tailwater --lib document
    TAILWATER_WRITE_DOCS=1 scripts/test --test browser every_page_with_data
