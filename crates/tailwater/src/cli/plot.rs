//! The command line of `tailwater plot`: the questions of `tailwater query` that are about time, and a file to draw to.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::examples;
use super::query::{AgentSeriesArgs, ChannelArgs, SystemArgs, TokenArgs};
use crate::chart::{MEMBERS, MESSAGES, Measure, REACTIONS};

/// What to draw.
#[derive(Debug, Subcommand)]
pub(crate) enum PlotCommand {
    /// Agents over time
    #[command(subcommand)]
    Agents(PlotAgentsCommand),
    /// Systems (hosts, databases, daemons) over time
    #[command(after_help = examples::PLOT_SYSTEM)]
    System(Plotted<SystemArgs>),
    /// Channels over time: messages, reactions or members
    #[command(after_help = examples::PLOT_CHANNELS)]
    Channels(Plotted<PlotChannelArgs>),
    /// Tokens of all kinds, over time or by the day
    #[command(after_help = examples::PLOT_TOKENS)]
    Tokens(Plotted<TokenArgs>),
    /// What tokens cost, over time or by the day
    #[command(after_help = examples::PLOT_COST)]
    Cost(Plotted<TokenArgs>),
}

/// What to draw of agents.
#[derive(Debug, Subcommand)]
pub(crate) enum PlotAgentsCommand {
    /// CPU in percent of one core, averages
    #[command(after_help = examples::PLOT_CPU)]
    Cpu(Plotted<AgentSeriesArgs>),
    /// Memory, averages
    #[command(after_help = examples::PLOT_MEM)]
    Mem(Plotted<AgentSeriesArgs>),
    /// Network rates
    #[command(after_help = examples::PLOT_NET)]
    Net(Plotted<AgentSeriesArgs>),
    /// Disk rates
    #[command(after_help = examples::PLOT_DISK)]
    Disk(Plotted<AgentSeriesArgs>),
}

/// A question, and the picture of its answer.
#[derive(Debug, Args)]
pub(crate) struct Plotted<T: Args> {
    /// What to read
    #[command(flatten)]
    pub question: T,
    /// What to draw it to
    #[command(flatten)]
    pub picture: PictureArgs,
}

/// What to draw of channels.
#[derive(Debug, Args)]
pub(crate) struct PlotChannelArgs {
    /// What to draw
    #[arg(value_enum, default_value_t)]
    pub column: ChannelColumn,
    /// Which channels, and when
    #[command(flatten)]
    pub channels: ChannelArgs,
}

/// What is counted in channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChannelColumn {
    /// Messages
    #[default]
    Messages,
    /// Reactions
    Reactions,
    /// Members
    Members,
}

impl ChannelColumn {
    /// What of an answer it is.
    #[must_use]
    pub(crate) const fn measure(self) -> &'static Measure {
        match self {
            Self::Messages => &MESSAGES,
            Self::Reactions => &REACTIONS,
            Self::Members => &MEMBERS,
        }
    }
}

/// A file to draw to.
#[derive(Clone, Debug, Args)]
pub(crate) struct PictureArgs {
    /// The file; its ending says what it is: .svg, .png, or .html for a page to zoom and read values in
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How wide, from 320 to 8192 [default: 1200; a page is as wide as its window]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(320..=8192))]
    pub width: Option<u32>,
    /// How high, from 240 to 8192 [default: 600; a page is as high as its window]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(240..=8192))]
    pub height: Option<u32>,
    /// What stands above it, instead of what was asked
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
}
