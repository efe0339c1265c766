//! Agents and systems that live in containers, as the Docker engine tells of them.
//!
//! A pass lists the containers, chooses those that are somebody's, and asks for the numbers and the life of each that
//! runs, all at once, each with a deadline: one that hangs is a problem of the pass and has null numbers, the others
//! are there.
//!
//! - Which container is whose: [`selector`]. Labels come before configured names, those before the pattern of
//!   systems, that before the pattern of agents. Names are matched whole. A container that is nobody's is not asked about.
//! - CPU is the difference of two readings of our own, over the time between the engine's two readings; the first
//!   is null, and so is the first after a restart ([`usage`]).
//! - Memory is what the docker command line shows: usage without the inactive files ([`stats`]). Its limit is what the engine
//!   tells: the machine's memory where the container has none of its own.
//! - Network and disk counters are the engine's, since the container started. A container in the host's network has
//!   none of its own: null.
//! - Several containers of one name are summed, and the counters of one that ends stay in the sum while another goes on.
//!
//! An agent or system that ran since this process began and whose containers are all stopped reads 0, as long as they are
//! listed; one whose containers vanish is told as stopped once. An engine that fails is an error of the pass, and null for
//! everything that is known; only where nothing is known does a missing socket mean that there is nothing to sample.

mod engine;
pub mod inspection;
mod json;
pub mod listing;
mod probe;
mod sampler;
pub mod selector;
pub mod stats;
pub mod usage;

pub use engine::{DockerEngine, EngineSettings, EngineVersion};
pub use json::AnswerError;
pub use probe::{DockerListing, DockerProbe, Look, Sight};
pub use sampler::DockerSampler;
pub use selector::{ContainerSelector, NamedContainer, Tally};
