//! What the Docker sampler needs to know, behind a trait, so that tests bring their own engine.

use super::inspection::Inspection;
use super::listing::Container;
use super::stats::Stats;
use crate::ProbeError;
use crate::proc::Parsed;

/// Asks the engine.
pub trait DockerProbe: Send {
    /// All containers, stopped ones too.
    ///
    /// # Errors
    /// When there is an engine and it does not answer as it should.
    fn containers(&mut self) -> Result<DockerListing, ProbeError>;

    /// Each of these running containers, in their order.
    fn look(&mut self, ids: &[&str]) -> Vec<Look>;

    /// Where the engine is, for people.
    fn place(&self) -> String;
}

/// What the engine said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerListing {
    /// There is no socket.
    NoEngine,
    /// The containers.
    Containers(Parsed<Container>),
}

/// What was seen of one container.
#[derive(Debug)]
pub enum Look {
    /// Its numbers, and perhaps its life.
    Seen(Box<Sight>),
    /// It went since it was listed.
    Gone,
    /// It could not be seen.
    Failed(ProbeError),
}

/// The numbers and the life of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Its numbers.
    pub stats: Stats,
    /// Its life, as far as it was told.
    pub inspection: Inspection,
    /// What was odd in the answers.
    pub problems: Vec<String>,
}
