//! Questions that the log answers.

use std::sync::Arc;

use event::Time;
use query::{Question, Topic};
use serde_json::Value;

use super::Service;
use crate::commands::query::ask;
use crate::failure::{Failure, chain};
use crate::log_reader::LogReader;

impl Service {
    /// Answers from the log.
    ///
    /// # Errors
    /// When the question means nothing, or the log cannot be read.
    pub(super) async fn query(
        &self,
        topic: Topic,
        parameters: &[(String, String)],
        now: Time,
    ) -> Result<Value, Failure> {
        let question =
            Question::parse(topic, parameters, now).map_err(|error| Failure::error(format!("--{error}")))?;
        let reader = LogReader::new(self.log.clone(), Arc::new(self.prices.prices.clone()));
        ask(&reader, &question).await.map_err(|error| Failure::error(chain(&error)))
    }
}
