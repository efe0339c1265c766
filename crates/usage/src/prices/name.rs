//! Names of models: what a name is without whoever passes it on, and what may follow a model's name.
//!
//! ```text
//! anthropic/claude-opus-4-5                        claude-opus-4-5
//! us.anthropic.claude-opus-4-5-20251101-v1:0       claude-opus-4-5-20251101-v1:0
//! claude-opus-4-5@20251101                         claude-opus-4-5@20251101
//! models/gemini-2.5-pro                            gemini-2.5-pro
//!
//! release = { ("-" / "@") (8 digits / 4 digits "-" 2 digits "-" 2 digits / "latest" / "v" digits) }
//!           [":" digits] ["[1m]"]
//! ```
//!
//! IMPORTANT: the migration has both as regular expressions.

/// What marks the name behind it as a vendor's, where several vendors' models are sold.
const VENDORS: [&str; 2] = ["anthropic.", "openai."];

/// A model's name in small letters, without the gateway, the region and the vendor in front of it.
#[must_use]
pub fn plain_name(model: &str) -> String {
    let small = model.to_ascii_lowercase();
    let last = small.rsplit('/').next().unwrap_or_default();
    without_vendor(last).to_owned()
}

fn without_vendor(name: &str) -> &str {
    let behind_region = name.split_once('.').filter(|(region, _)| is_region(region)).map(|(_, rest)| rest);
    let behind = |name: &'_ str| VENDORS.iter().find_map(|vendor| name.strip_prefix(vendor).map(str::len));
    let rest = behind_region.and_then(behind).or_else(|| behind(name));
    rest.and_then(|length| name.get(name.len() - length..)).unwrap_or(name)
}

fn is_region(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Whether what follows a name makes it a longer name of the same family.
pub(super) fn is_bounded(rest: &str) -> bool {
    !rest.starts_with(|next: char| next.is_ascii_alphanumeric())
}

/// Whether what follows a model's name only tells a release of it.
pub(super) fn is_release(mut rest: &str) -> bool {
    while let Some(behind) = behind_part(rest) {
        rest = behind;
    }
    let rest = rest.strip_prefix(':').and_then(behind_digits).unwrap_or(rest);
    matches!(rest, "" | "[1m]")
}

/// What is behind one part of a release.
fn behind_part(rest: &str) -> Option<&str> {
    let part = rest.strip_prefix(['-', '@'])?;
    part.strip_prefix("latest")
        .or_else(|| part.strip_prefix('v').and_then(behind_digits))
        .or_else(|| behind_shape(part, "dddddddd"))
        .or_else(|| behind_shape(part, "dddd-dd-dd"))
}

/// What is behind one digit or more.
fn behind_digits(text: &str) -> Option<&str> {
    let behind = text.trim_start_matches(|next: char| next.is_ascii_digit());
    (behind.len() < text.len()).then_some(behind)
}

/// What is behind a text of this shape, in which `d` is a digit.
fn behind_shape<'a>(text: &'a str, shape: &str) -> Option<&'a str> {
    let (head, behind) = text.split_at_checked(shape.len())?;
    let fits = |(byte, shape): (u8, u8)| if shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
    head.bytes().zip(shape.bytes()).all(fits).then_some(behind)
}
