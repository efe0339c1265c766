//! tmux's list of panes, from arbitrary bytes.
#![no_main]

#[path = "../checks/tmux_panes.rs"]
mod tmux_panes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tmux_panes::check(bytes);
});
