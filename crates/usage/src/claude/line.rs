//! The fields of Claude Code's lines that tell usage.

use event::TokenUsage;
use serde::Deserialize;

use crate::claude::{KIND, SYNTHETIC};
use crate::loose::{Object, Objects, Scalar};

/// A line.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Line {
    r#type: Scalar,
    pub(super) timestamp: Scalar,
    pub(super) session_id: Scalar,
    pub(super) request_id: Scalar,
    pub(super) uuid: Scalar,
    pub(super) cwd: Scalar,
    is_api_error_message: Scalar,
    #[serde(rename = "costUSD")]
    pub(super) cost_usd: Scalar,
    message: Object<Message>,
}

/// The provider's answer.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub(super) id: Scalar,
    pub(super) model: Scalar,
    pub(super) stop_reason: Scalar,
    usage: Object<Usage>,
}

/// The usage of an answer, or of one of its iterations.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    input_tokens: Scalar,
    output_tokens: Scalar,
    cache_read_input_tokens: Scalar,
    cache_creation_input_tokens: Scalar,
    cache_creation: Object<Creation>,
    pub(super) iterations: Objects<Usage>,
    /// What an iteration is.
    pub(super) r#type: Scalar,
    /// The model of an iteration that was another's.
    pub(super) model: Scalar,
    /// The counts of an iteration, where they do not stand beside its type.
    pub(super) usage: Object<Box<Usage>>,
}

/// For how long was written to the cache.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Creation {
    ephemeral_5m_input_tokens: Scalar,
    ephemeral_1h_input_tokens: Scalar,
}

impl Line {
    /// What a model answered, with its usage; neither a message of the tool's own nor another kind of line is that.
    pub(super) fn answer(&self) -> Option<(&Message, &Usage)> {
        let message = self.message.0.as_ref()?;
        let usage = message.usage.0.as_ref()?;
        let answered = self.r#type.is_text(KIND)
            && self.is_api_error_message != Scalar::Flag(true)
            && !message.model.is_text(SYNTHETIC);
        answered.then_some((message, usage))
    }
}

impl Usage {
    /// The counts, disjoint; or which field has none.
    ///
    /// NOTE: the flat number of tokens written to the cache is the sum of its two parts. Where the parts say less,
    /// the rest was written too, and nobody knows for how long: it is counted, not as written for an hour.
    pub(super) fn counts(&self) -> Result<TokenUsage, String> {
        let (minutes, hour) = match &self.cache_creation.0 {
            Some(it) => (
                count("cache_creation.ephemeral_5m_input_tokens", &it.ephemeral_5m_input_tokens)?,
                count("cache_creation.ephemeral_1h_input_tokens", &it.ephemeral_1h_input_tokens)?,
            ),
            None => (0, 0),
        };
        let flat = count("cache_creation_input_tokens", &self.cache_creation_input_tokens)?;
        Ok(TokenUsage {
            input_tokens: required("input_tokens", &self.input_tokens)?,
            output_tokens: required("output_tokens", &self.output_tokens)?,
            cache_read: count("cache_read_input_tokens", &self.cache_read_input_tokens)?,
            cache_create: flat.max(minutes.saturating_add(hour)),
            cache_create_1h: hour,
            ..TokenUsage::default()
        })
    }
}

fn count(field: &str, value: &Scalar) -> Result<u64, String> {
    value.count().map(Option::unwrap_or_default).map_err(|_| format!("usage.{field} is no count"))
}

fn required(field: &str, value: &Scalar) -> Result<u64, String> {
    match value {
        Scalar::Absent => Err(format!("usage has no {field}")),
        _ => count(field, value),
    }
}
