//! The command line of `tailwater top`.

use clap::Args;

pub(crate) const AFTER_HELP: &str = "\
Asks the daemon by its socket and needs nothing else, so it works over ssh. `?` in it tells its keys.

Examples:
  tailwater top
  tailwater top --interval 10                           asks less often, for a slow link
  ssh -t other tailwater top";

/// Flags of `top`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct TopArgs {
    /// How often to ask, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
}
