//! The command line of `tailwater migrate`.

use clap::Args;
use event::HostName;

/// Flags of `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tailwater migrate                          make or upgrade the tables
  tailwater migrate --adopt-bc --dry-run     tell what the Go package has there, and what would become of it
  tailwater migrate --adopt-bc               keep the Go package's tables as <name>_bc, and copy their rows

Whatever ends it, the same command goes on where it stopped; run once more, it changes nothing.")]
pub(crate) struct MigrateArgs {
    /// Adopt the tables of the Go package: rename them to <name>_bc, copy their rows, drop nothing
    #[arg(long)]
    pub adopt_bc: bool,
    /// The host that the Go package's rows are about; this machine's name unless given
    #[arg(long, value_name = "NAME", requires = "adopt_bc", value_parser = host)]
    pub host: Option<HostName>,
    /// Tell what would be adopted, and change nothing
    #[arg(long, requires = "adopt_bc")]
    pub dry_run: bool,
}

fn host(text: &str) -> Result<HostName, String> {
    HostName::new(text).map_err(|error| error.to_string())
}
