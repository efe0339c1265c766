//! The name of a model, where a transcript tells none.

use event::Text;
use event::limits::NAME_BYTES_MAX;

use crate::loose::Scalar;

/// What stands for a model that nobody named: no price fits it, so it is seen.
///
/// NOTE: a guess would be priced, and nobody would notice that it was one.
pub const UNKNOWN_MODEL: &str = "unknown";

/// The model that is named here, or [`UNKNOWN_MODEL`]; what is no name of a model is not one.
pub(crate) fn known(model: &Scalar) -> Text {
    let named = model.text().filter(|text| text.len() <= NAME_BYTES_MAX && !text.contains('\0'));
    named.map_or_else(|| UNKNOWN_MODEL.into(), Clone::clone)
}
